"""Accounts cost little memory: a client for each call, none for each account."""

from pathlib import Path

from support.many_accounts import memory_mib


def test_a_hundred_accounts_cost_under_40_mib_more_than_one(tmp_path: Path) -> None:
    one, hundred = (memory_mib(count, tmp_path) for count in (1, 100))
    assert hundred - one < 40
