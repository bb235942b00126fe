"""The runners' endpoint as a runner meets it: design section 3, row by row, and the audit line of each."""

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.exposition import generate_latest
from starlette.types import Message
from support.asgi import Answer, Headers, call
from support.clock import SettableClock
from support.minters import FakeMinter
from support.runner import NOW, SECRET, SignedRequest, runner_request, sign

from ecrmint import settings, signature
from ecrmint.app import Live, Runners, _read
from ecrmint.audit import AuditLog
from ecrmint.broker import Broker
from ecrmint.cache import LoginCache
from ecrmint.errors import ThrottledError
from ecrmint.minters import Minter, Resources
from ecrmint.policy import Policy
from ecrmint.telemetry import Metrics
from ecrmint.tokens import Secret

ECR = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
SHORT_SECRET = "sixteen-bytes-ok"
CONFIG = f"""
secrets:
  - {{name: main, value: {SECRET}}}
  - {{name: short, value: {SHORT_SECRET}}}
max_body: 64KiB
accounts:
  hub: {{type: static, registries: [docker.io], username: octocat, password: {{value: hub-password}}}}
  prod: {{type: static, registries: [{ECR}], username: AWS, password: {{value: prod-password}}}}
rules:
  - {{name: everyone, repos: ["**"], accounts: [hub]}}
  - {{name: team-a, repos: ["team-a/*"], accounts: [prod]}}
  - {{name: frozen, repos: ["team-a/legacy"], effect: deny}}
"""


@dataclass
class App:
    """The endpoint with fake minters, what it audits and counts."""

    runners: Runners
    hub: FakeMinter
    prod: FakeMinter
    audit_file: Path
    metrics: Metrics
    clock: SettableClock
    cache: LoginCache

    async def ask(self, request: SignedRequest, **changes: Any) -> Answer:
        """Send a runner's request; ``changes`` are arguments of ``call``."""
        return await call(self.runners, **{"headers": request.asgi_headers(), "body": request.body, **changes})

    def audit(self) -> dict[str, Any]:
        """Return the only audit line."""
        (line,) = self.audit_file.read_text().splitlines()
        record: dict[str, Any] = json.loads(line)
        return record


Make = Callable[..., App]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Return a maker of apps; its text is appended to CONFIG."""

    def make_app(more: str = "", *, config: str = CONFIG) -> App:
        clock = SettableClock(wall=NOW)
        metrics = Metrics()
        cache = LoginCache(metrics, clock=clock, roll=lambda: 0.0)
        loaded = settings.parse(config + more, source="test", environ={})
        hub = FakeMinter("hub", "static").then_login("hub-login")
        prod = FakeMinter("prod", "ecr").then_login("prod-login", expires_at=NOW + 12 * 3600)
        minters: Mapping[str, Mapping[str, Minter]] = {"hub": {"docker.io": hub}, "prod": {ECR: prod}}
        broker = Broker(Policy(loaded.settings.rules), minters, cache, deadline_seconds=loaded.settings.deadline)
        audit_file = tmp_path / "audit.jsonl"
        runners = Runners(
            Live(loaded, Resources(), minters, broker),
            metrics=metrics,
            audit=AuditLog(str(audit_file)),
            clock=clock,
            random_bytes=bytes,
        )
        return App(runners, hub, prod, audit_file, metrics, clock, cache)

    return make_app


HUB = {"address": "docker.io", "username": "AWS", "password": "hub-login"}
PROD = {"address": ECR, "username": "AWS", "password": "prod-login"}


async def test_a_granted_request_gets_its_logins(make: Make) -> None:
    answer = await make().ask(runner_request())
    assert answer.status == 200
    assert json.loads(answer.body) == [HUB, PROD]


async def test_every_answer_says_its_type_and_length_and_that_it_must_not_be_stored(make: Make) -> None:
    answer = await make().ask(runner_request())
    assert answer.headers == {
        "content-type": "application/json",
        "cache-control": "no-store",
        "content-length": str(len(answer.body)),
        "x-request-id": "000000000000000001",
    }


async def test_what_the_rules_do_not_grant_is_an_empty_list(make: Make) -> None:
    app = make()
    answer = await app.ask(runner_request(slug="team-a/legacy"))
    assert (answer.status, answer.body) == (200, b"[]")
    assert app.audit()["outcome"] == "empty"


async def test_a_fork_s_pull_request_gets_nothing(make: Make) -> None:
    app = make()
    answer = await app.ask(runner_request(event="pull_request", source_repo="stranger/app"))
    assert (answer.status, answer.body) == (200, b"[]")
    assert app.audit()["fork"] is True
    assert app.prod.calls == 0


async def test_the_audit_line_of_a_granted_request_says_it_all(make: Make) -> None:
    app = make()
    await app.ask(runner_request(build={"deploy_to": "production"}, repo={"trusted": True, "private": True}))
    line = app.audit()
    fingerprints = {name: account.pop("fingerprint") for name, account in line["accounts"].items()}
    assert fingerprints == {"hub": Secret("hub-login").fingerprint(), "prod": Secret("prod-login").fingerprint()}
    assert line == {
        "kind": "audit",
        "v": 1,
        "time": "2022-11-15T08:12:31.000Z",
        "request_id": "000000000000000001",
        "outcome": "granted",
        "reason": "granted",
        "status": 200,
        "secret": "main",
        "repo": "team-a/app",
        "uid": "42",
        "event": "push",
        "ref": "refs/heads/main",
        "source_repo": "",
        "fork": False,
        "trusted": True,
        "private": True,
        "deploy_to": "production",
        "timeout": 60,
        "build": 12,
        "rules": ["everyone", "team-a"],
        "granted": ["hub", "prod"],
        "accounts": {
            "hub": {"outcome": "minted", "remaining_seconds": None},
            "prod": {"outcome": "minted", "remaining_seconds": 43200},
        },
        "duration_ms": 0.0,
    }


async def test_a_failing_account_costs_the_others_nothing(make: Make) -> None:
    app = make()
    app.prod.results.clear()
    app.prod.then_error(ThrottledError("slow down"))
    answer = await app.ask(runner_request())
    assert (answer.status, json.loads(answer.body)) == (200, [HUB])
    line = app.audit()
    assert (line["outcome"], line["reason"]) == ("partial", "mint")
    assert line["accounts"]["prod"] == {"outcome": "throttled", "remaining_seconds": None, "fingerprint": None}


async def test_when_all_accounts_fail_the_answer_is_an_empty_list_and_the_audit_is_loud(make: Make) -> None:
    app = make()
    for minter in (app.hub, app.prod):
        minter.results.clear()
        minter.then_error(ThrottledError("slow down"))
    answer = await app.ask(runner_request())
    assert (answer.status, answer.body) == (200, b"[]")
    assert app.audit()["outcome"] == "failed"


async def test_strict_answers_503_and_names_the_failed_accounts_alone(make: Make) -> None:
    app = make("on_failure: strict\n")
    app.prod.results.clear()
    app.prod.then_error(ThrottledError("arn:aws:iam::123456789012:role/x said no"))
    answer = await app.ask(runner_request())
    assert (answer.status, answer.body) == (503, b"these accounts failed: prod\n")
    assert app.audit()["outcome"] == "partial"


async def test_each_of_several_secrets_is_accepted_and_named(make: Make) -> None:
    app = make()
    assert (await app.ask(runner_request(secret=SHORT_SECRET))).status == 200
    assert app.audit()["secret"] == "short"


def _without(request: SignedRequest, *names: str) -> Headers:
    return [(name, value) for name, value in request.asgi_headers() if name.decode() not in names]


def _with(request: SignedRequest, *more: tuple[bytes, bytes]) -> Headers:
    return [*request.asgi_headers(), *more]


GOOD = runner_request()
LARGE = sign(b" " * (64 * 1024 + 1))
NO_REPO = sign(b'{"build":{}}')


@pytest.mark.parametrize(
    ("changes", "status", "reason"),
    [
        pytest.param({"path": "/elsewhere"}, 404, "path", id="another path"),
        pytest.param({"path": "//"}, 404, "path", id="two slashes"),
        pytest.param({"path": "/elsewhere", "method": "GET"}, 404, "path", id="path before method"),
        pytest.param({"method": "GET"}, 405, "method", id="GET"),
        pytest.param({"method": "PUT", "headers": []}, 405, "method", id="method before length"),
        pytest.param({"headers": _without(GOOD, "content-length")}, 411, "length", id="no length"),
        pytest.param({"headers": _with(GOOD, (b"transfer-encoding", b"chunked"))}, 411, "transfer_coding", id="coding"),
        pytest.param({"headers": LARGE.asgi_headers()}, 413, "too_large", id="too large"),
        pytest.param({"headers": [(b"content-length", b"9" * 5000)]}, 413, "too_large", id="absurdly large"),
        pytest.param(
            {"headers": _with(GOOD, (b"content-encoding", b"gzip"))}, 415, "content_encoding", id="compressed"
        ),
        pytest.param({"headers": _without(GOOD, "content-type")}, 415, "content_type", id="no content type"),
        pytest.param(
            {"headers": [*_without(GOOD, "content-type"), (b"content-type", b"text/plain")]},
            415,
            "content_type",
            id="not a JSON type",
        ),
        pytest.param({"headers": _with(GOOD, (b"upgrade", b"h2c"))}, 400, "upgrade", id="upgrade"),
        pytest.param({"headers": _with(GOOD, (b"digest", b"x"))}, 400, "duplicate", id="two digests"),
        pytest.param({"headers": _with(GOOD, (b"date", b"x"))}, 400, "duplicate", id="two dates"),
        pytest.param({"headers": _with(GOOD, (b"authorization", b"x"))}, 400, "duplicate", id="both signatures"),
        pytest.param(
            {"headers": [*_without(GOOD, "accept"), (b"accept", b"application/vnd.drone.secret.v1+json")]},
            406,
            "accept",
            id="another extension's runner",
        ),
        pytest.param({"headers": _without(GOOD, "signature")}, 401, "missing", id="unsigned"),
        pytest.param({"body": GOOD.body.replace(b"team-a", b"team-b")}, 401, "digest", id="body changed"),
        pytest.param(
            {"headers": NO_REPO.asgi_headers(), "body": NO_REPO.body}, 400, "repo", id="signed, but no repository"
        ),
    ],
)
async def test_refusals(make: Make, changes: dict[str, Any], status: int, reason: str) -> None:
    app = make()
    answer = await app.ask(GOOD, **changes)
    assert (answer.status, answer.headers["connection"]) == (status, "close")
    line = app.audit()
    assert (line["status"], line["reason"]) == (status, reason)
    assert line["outcome"] == ("refused" if status == 401 else "invalid")
    assert app.hub.calls == 0


async def test_an_empty_or_any_accept_is_fine(make: Make) -> None:
    app = make()
    for accept in (b"*/*", b""):
        request = sign(GOOD.body, changed={"Accept": accept.decode()})
        assert (await app.ask(request)).status == 200


async def test_the_406_names_the_right_variable(make: Make) -> None:
    headers = [*_without(GOOD, "accept"), (b"accept", b"application/vnd.drone.secret.v1+json")]
    answer = await make().ask(GOOD, headers=headers)
    assert b"DRONE_REGISTRY_PLUGIN_ENDPOINT" in answer.body
    assert b"DRONE_SECRET_PLUGIN_ENDPOINT" in answer.body


async def test_all_signature_refusals_read_alike(make: Make) -> None:
    app = make()
    stale = runner_request(date=NOW - 301)
    foreign = runner_request(secret="another-secret-of-thirty-two-byt")
    answers = [await app.ask(stale), await app.ask(foreign), await app.ask(GOOD, headers=_without(GOOD, "signature"))]
    assert {answer.body for answer in answers} == {b"the signature is missing or does not hold\n"}


@pytest.mark.parametrize(("age", "status"), [(-301, 401), (-300, 200), (300, 200), (301, 401)])
async def test_the_date_may_be_five_minutes_off_both_ways(make: Make, age: int, status: int) -> None:
    assert (await make().ask(runner_request(date=NOW + age))).status == status


async def test_the_same_bytes_twice_are_answered_alike(make: Make) -> None:
    app = make()
    first, second = await app.ask(GOOD), await app.ask(GOOD)
    assert first.body == second.body
    assert app.prod.calls == 1


async def test_a_body_in_pieces_is_put_together(make: Make) -> None:
    pieces: list[Message] = [
        {"type": "http.request", "body": GOOD.body[:10], "more_body": True},
        {"type": "http.request", "body": GOOD.body[10:], "more_body": False},
    ]
    assert (await make().ask(GOOD, received=pieces)).status == 200


async def test_a_large_body_in_small_pieces_costs_no_more_than_its_size() -> None:
    count, piece = 6000, b"x" * 1400
    pieces = iter([{"type": "http.request", "body": piece, "more_body": n > 0} for n in reversed(range(count))])

    async def receive() -> Message:
        return next(pieces)

    before = time.process_time()
    assert len(await _read(receive, count * len(piece))) == count * len(piece)
    assert time.process_time() - before < 1  # CPU seconds; adding piece to piece took ten


async def test_a_caller_that_leaves_before_its_body_is_whole_is_audited(make: Make) -> None:
    app = make()
    pieces: list[Message] = [
        {"type": "http.request", "body": GOOD.body[:10], "more_body": True},
        {"type": "http.disconnect"},
    ]
    assert (await app.ask(GOOD, received=pieces)).status == 0
    assert app.audit()["outcome"] == "disconnected"


async def test_an_answer_is_encrypted_where_the_request_asks_for_it(make: Make) -> None:
    request = sign(GOOD.body, changed={"Accept-Encoding": "aesgcm"})
    answer = await make().ask(request)
    assert answer.headers["content-encoding"] == "aesgcm"
    assert json.loads(signature.decrypt(Secret(SECRET), answer.body)) == [HUB, PROD]


async def test_an_encrypted_answer_needs_a_secret_of_32_bytes(make: Make) -> None:
    app = make()
    answer = await app.ask(sign(GOOD.body, secret=SHORT_SECRET, changed={"Accept-Encoding": "aesgcm"}))
    assert answer.status == 406
    assert app.audit()["reason"] == "encryption"


async def test_the_answer_is_always_encrypted_where_the_configuration_says_so(make: Make) -> None:
    config = CONFIG.replace(f"  - {{name: short, value: {SHORT_SECRET}}}\n", "")
    answer = await make("encrypt: true\n", config=config).ask(GOOD)
    assert json.loads(signature.decrypt(Secret(SECRET), answer.body)) == [HUB, PROD]


async def test_the_path_can_be_moved(make: Make) -> None:
    app = make("path: /registry\n")
    assert (await app.ask(GOOD, path="/registry")).status == 200
    assert (await app.ask(GOOD)).status == 404


async def test_beyond_the_bound_requests_are_shed(make: Make) -> None:
    app = make("max_in_flight: 1\n")
    app.runners._in_flight = 1  # one more request is under way
    answer = await app.ask(GOOD)
    assert (answer.status, answer.headers["retry-after"], answer.headers["connection"]) == (503, "1", "close")
    assert app.audit()["outcome"] == "overloaded"


async def test_an_unexpected_fault_is_a_500_that_tells_nothing(make: Make) -> None:
    app = make()

    class Broken:
        async def answer(self, request: object, *, secret: str) -> object:
            raise ZeroDivisionError("arn:aws:iam::123456789012:role/secret-role")

    app.runners.live = replace(app.runners.live, broker=Broken())  # type: ignore[arg-type]  # a fault is the point
    answer = await app.ask(GOOD)
    assert (answer.status, answer.body) == (500, b"internal error\n")
    assert app.audit()["reason"] == "internal"


async def test_a_request_that_the_shutdown_cuts_short_is_answered_and_audited(make: Make) -> None:
    app = make()
    app.prod.gate.clear()
    asking = asyncio.create_task(app.ask(GOOD))
    await asyncio.to_thread(app.prod.entered.acquire)
    assert "ecrmint_requests_in_flight 1.0" in generate_latest(app.metrics.registry).decode()
    asking.cancel()
    answer = await asking
    app.prod.gate.set()
    assert (answer.status, answer.body) == (503, b"the server stops\n")
    line = app.audit()
    assert (line["outcome"], line["reason"], line["repo"]) == ("overloaded", "stopping", "team-a/app")
    assert "ecrmint_requests_in_flight 0.0" in generate_latest(app.metrics.registry).decode()


async def test_without_its_audit_line_nothing_is_answered_where_the_line_is_required(make: Make) -> None:
    app = make("audit: {required: true}\n")
    app.runners._audit = AuditLog("/dev/full")
    answer = await app.ask(GOOD)
    assert (answer.status, answer.body) == (503, b"no audit line can be written\n")
    assert "ecrmint_audit_failures_total 1.0" in generate_latest(app.metrics.registry).decode()


async def test_without_its_audit_line_a_request_is_answered_all_the_same_by_default(make: Make) -> None:
    app = make()
    app.runners._audit = AuditLog("/dev/full")
    assert (await app.ask(GOOD)).status == 200


async def test_each_request_is_counted_with_its_outcome_and_reason(make: Make) -> None:
    app = make()
    await app.ask(GOOD)
    await app.ask(runner_request(date=NOW - 301))
    text = generate_latest(app.metrics.registry).decode()
    assert 'ecrmint_requests_total{outcome="granted",reason="granted"} 1.0' in text
    assert 'ecrmint_requests_total{outcome="refused",reason="stale"} 1.0' in text
    assert 'ecrmint_cache_requests_total{account="prod",kind="minted"} 1.0' in text
    assert 'ecrmint_mints_total{account="prod",error_class="",outcome="success",provider="ecr"} 1.0' in text


async def test_no_login_secret_or_slug_is_in_audit_or_metrics(make: Make) -> None:
    app = make()
    await app.ask(runner_request(repo={"secret": "the-repository-s-own-key"}))
    seen = app.audit_file.read_text() + generate_latest(app.metrics.registry).decode()
    for canary in ("hub-login", "prod-login", SECRET, "the-repository-s-own-key"):
        assert canary not in seen
    assert "team-a/app" not in generate_latest(app.metrics.registry).decode()


async def test_an_account_that_a_reload_removes_is_in_no_answer_though_its_mint_was_waited_for(make: Make) -> None:
    app = make()
    app.prod.gate.clear()
    asked = asyncio.create_task(app.ask(runner_request()))
    await asyncio.to_thread(app.prod.entered.acquire)
    before = app.runners.live
    without = settings.parse(CONFIG.replace("accounts: [prod]", "accounts: [hub]"), source="test")
    broker = Broker(without.policy, {"hub": before.minters["hub"]}, app.cache, deadline_seconds=10)
    app.runners.live = replace(before, config=without, broker=broker)
    app.prod.gate.set()
    assert json.loads((await asked).body) == [HUB]
    assert app.audit()["granted"] == ["hub"]


async def test_a_secret_that_a_reload_removes_opens_nothing_though_its_request_was_waiting(make: Make) -> None:
    app = make()
    app.prod.gate.clear()
    asked = asyncio.create_task(app.ask(runner_request()))
    await asyncio.to_thread(app.prod.entered.acquire)
    rotated = settings.parse(CONFIG.replace(SECRET, "another-secret-of-thirty-two-byt"), source="test")
    app.runners.live = replace(app.runners.live, config=rotated)
    app.prod.gate.set()
    assert (await asked).status == 401
