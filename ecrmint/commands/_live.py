"""How ``check --live`` shows its reports: tables for people, JSON for machines. No secret gets here."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from ecrmint.live import Clocks, Failure, Report
from ecrmint.remedies import Remedy, remedies
from ecrmint.table import columns, printable

_RESULTS: Final = {True: "ok", False: "FAILED"}


def as_text(reports: Sequence[Report], clocks: Clocks) -> Iterator[str]:
    """Yield the lines of a table with every step, then what to do about each failure."""
    yield from columns([("ACCOUNT", "STEP", "RESULT", "DETAIL"), *_rows(reports)])
    for report in reports:
        for title, failure in _failures(report):
            yield ""
            yield from map(printable, _advice(report, title, failure))
    for provider, seconds in clocks.ahead.items():
        yield ""
        side = "ahead of" if seconds > 0 else "behind"
        yield f"clock: that of the accounts of type {provider} is {abs(seconds):.0f} s {side} ours; set ours"


def as_json(reports: Sequence[Report], clocks: Clocks) -> str:
    """Return ``{"accounts": {NAME: {"ok", "steps", "error", "hosts"}}}``; the error is the account's first one.

    Beside the accounts: ``clock_skew_seconds``, by their type, of clocks that differ from ours by more than a minute.
    """
    accounts: dict[str, list[Report]] = {}
    for report in reports:
        accounts.setdefault(report.walk.account, []).append(report)
    shown = {name: _account(mine) for name, mine in accounts.items()}
    return json.dumps({"accounts": shown, "clock_skew_seconds": clocks.ahead}, indent=2)


def _rows(reports: Iterable[Report]) -> Iterator[tuple[str, ...]]:
    for report in reports:
        name = report.walk.account
        for step in report.steps:
            yield name, printable(step.name), _RESULTS[step.ok], printable(step.detail)
        for host, failure in report.hosts.items():
            yield name, host, _RESULTS[failure is None], printable(str(failure or "takes the login"))


def _failures(report: Report) -> Iterator[tuple[str, Failure]]:
    """Yield each failure and the name of what it is about: the account, or one of its hosts."""
    name = report.walk.account
    if report.error is not None:
        yield name, report.error
    yield from ((f"{name}, {host}", failure) for host, failure in report.hosts.items() if failure is not None)


def _advice(report: Report, title: str, failure: Failure) -> Iterator[str]:
    yield f"{title}: {failure} [{failure.code}]"
    if failure.hint:
        yield f"  {failure.hint}"
    for remedy in _remedies(report, failure):
        yield f"  for {remedy.place}:"
        yield f"    {remedy.content if isinstance(remedy.content, str) else json.dumps(remedy.content)}"


def _remedies(report: Report, failure: Failure) -> list[Remedy]:
    return remedies(failure, provider=report.walk.minter.provider, caller=report.caller)


def _account(reports: Sequence[Report]) -> Mapping[str, object]:
    errors = [_error(report, failure) for report in reports for _, failure in _failures(report)]
    return {
        "ok": all(report.ok for report in reports),
        "steps": [
            {"step": step.name, "ok": step.ok, "detail": step.detail} for report in reports for step in report.steps
        ],
        "error": next(iter(errors), None),
        "hosts": dict(host for report in reports for host in _hosts(report)),
    }


def _hosts(report: Report) -> Iterator[tuple[str, Mapping[str, object]]]:
    """Yield what each host came to: its own failure, or why there was no login to try there."""
    for registry in report.walk.registries:
        failure = report.error or report.hosts.get(registry.host)
        yield registry.host, {"ok": failure is None, "error": failure and _error(report, failure)}


def _error(report: Report, failure: Failure) -> Mapping[str, object]:
    return {
        "code": failure.code,
        "text": str(failure),
        "hint": failure.hint,
        "remedies": [_remedy(remedy) for remedy in _remedies(report, failure)],
    }


def _remedy(remedy: Remedy) -> Mapping[str, object]:
    kind = "command" if isinstance(remedy.content, str) else "statement"
    return {"for": remedy.place, kind: remedy.content}
