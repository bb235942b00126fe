"""Logins from the configuration."""

from collections.abc import Mapping

import pytest
from support.accounts import account, complaint, minter, minters

from ecrmint.fields import SecretSource
from ecrmint.minters import Resources
from ecrmint.tokens import Login, Secret

PASSWORD = SecretSource(env="HUB_PASSWORD")
HUB: Mapping[str, object] = {
    "type": "static",
    "registries": ("docker.io", "ghcr.io"),
    "username": "octocat",
    "password": {"env": "HUB_PASSWORD"},
}


def resources(password: str = "correct horse") -> Resources:
    return Resources(secrets={PASSWORD: Secret(password)})


def test_the_login_is_the_one_in_the_configuration_and_never_expires() -> None:
    minted = minter(HUB, resources()).mint()
    assert minted == Login("octocat", Secret("correct horse"), expires_at=None)


def test_all_hosts_share_one_minter() -> None:
    made = minters(HUB, resources())
    assert (list(made), len(set(made.values()))) == (["docker.io", "ghcr.io"], 1)


def test_the_account_says_which_secret_it_reads() -> None:
    assert account(**HUB).secret_sources() == {"password": PASSWORD}


def test_another_password_is_another_minter() -> None:
    first, second = (minter(HUB, resources(text)) for text in ("one", "two"))
    assert first != second


def test_a_minter_does_not_show_its_password() -> None:
    assert "correct horse" not in repr(minter(HUB, resources()))


@pytest.mark.parametrize("username", ["", "a:b", "a\nb", "a\x7f", "x" * 256])
def test_a_user_name_that_no_registry_would_understand_is_refused(username: str) -> None:
    found = complaint(**{**HUB, "username": username})
    assert found.startswith("username: expected a user name")


def test_the_provider_is_the_type() -> None:
    made = minter(HUB, resources())
    assert (made.account, made.provider) == ("prod", "static")
