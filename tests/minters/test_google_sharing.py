"""One identity, many accounts: how often it is asked for a token of its own, and who shares what."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Barrier, Event, Lock, Semaphore
from time import monotonic, time

import pytest
import respx
from support.accounts import account, minter
from support.google import (
    FILE,
    OWN,
    PULL,
    READ_ONLY,
    granted,
    iam_url,
    impersonated,
    requests,
    willing,
    with_file,
)

from ecrmint.errors import MintTimeoutError, NoIdentityError, TrustDeniedError
from ecrmint.minters import Minter, Resources
from ecrmint.minters._google import shared_tokens
from ecrmint.minters._google.access_token import AccessToken
from ecrmint.minters._google.shared_tokens import SharedToken, SharedTokens
from ecrmint.minters._http import Calls
from ecrmint.standin.service_account import ServiceAccount
from ecrmint.tokens import Secret

THREADS = 12
MACHINE: dict[str, object] = {"type": "google", "registries": ("gcr.io",)}
KEY: dict[str, object] = {**MACHINE, "credentials_file": FILE.file}


@pytest.fixture
def cloud() -> Iterator[respx.Router]:
    with willing() as router:
        router.post(url__regex=r"https://iamcredentials\.googleapis\.com/.*", name="iam").respond(json=impersonated())
        yield router


@pytest.fixture(scope="module")
def key() -> str:
    return json.dumps(
        ServiceAccount("ci@acme.iam.gserviceaccount.com", 3600).create_key("https://oauth2.googleapis.com/token")
    )


def targets(fields: dict[str, object], resources: Resources) -> list[Minter]:
    emails = [f"pull-{number}@acme.iam.gserviceaccount.com" for number in range(THREADS)]
    return [
        minter
        for email in emails
        for minter in account(**fields, service_account=email).minters(email, resources).values()
    ]


@dataclass(frozen=True, slots=True)
class Scripted:
    """A source that gives what it is told to, when it is told to."""

    name: str = "a"
    results: list[AccessToken | Exception] = field(default_factory=list, compare=False)
    asked: list[tuple[str, ...]] = field(default_factory=list, compare=False)
    entered: Event = field(default_factory=Event, compare=False)
    gate: Event = field(default_factory=Event, compare=False)

    def fetch(self, scopes: tuple[str, ...], calls: Calls) -> AccessToken:
        self.asked.append(scopes)
        self.entered.set()
        assert self.gate.wait(timeout=10)
        result = self.results.pop(0)
        if isinstance(result, Exception):
            raise result
        return result

    def identity(self, calls: Calls) -> str:
        raise AssertionError("sharing a token never asks who its identity is")

    @property
    def life(self) -> float:
        raise AssertionError("sharing a token never asks how long its source's tokens live")


@dataclass
class CountedLock:
    """A lock that says when somebody comes for it."""

    inner: Lock = field(default_factory=Lock)
    came: Semaphore = field(default_factory=lambda: Semaphore(0))

    def acquire(self, *, timeout: float) -> bool:
        self.came.release()
        return self.inner.acquire(timeout=timeout)

    def release(self) -> None:
        self.inner.release()

    def wait_for(self, threads: int) -> None:
        for _ in range(threads):
            assert self.came.acquire(timeout=10)


def counted(monkeypatch: pytest.MonkeyPatch, shared: SharedToken) -> CountedLock:
    lock = CountedLock()
    monkeypatch.setattr(shared, "_lock", lock)
    return lock


def token(name: str, seconds: float = 3600) -> AccessToken:
    return AccessToken(Secret(name), time() + seconds)


def calls(seconds: float = 10) -> Calls:
    return Resources().http.within(seconds)


@pytest.mark.parametrize("fields", [MACHINE, KEY], ids=["metadata", "key"])
def test_many_service_accounts_cost_one_token_of_their_identity(
    cloud: respx.Router, key: str, fields: dict[str, object]
) -> None:
    minters = targets(fields, with_file(key))
    barrier = Barrier(THREADS)

    def mint(each: Minter) -> None:
        barrier.wait()
        each.mint()

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(mint, minters))
    assert cloud["metadata"].call_count + cloud["token"].call_count == 1
    assert cloud["iam"].call_count == THREADS
    assert {request.headers["authorization"] for request in requests(cloud)[1:]} == {f"Bearer {OWN}"}


def test_another_configuration_that_keeps_the_resources_keeps_the_token(cloud: respx.Router, key: str) -> None:
    before = with_file(key)
    old = minter({**KEY, "service_account": PULL}, before)
    old.mint()
    after = Resources(endpoints=before.endpoints, secrets=before.secrets, google=before.google)
    minter({**KEY, "service_account": PULL, "lifetime": "30m"}, after).mint()
    assert old.account  # in force until the other one is
    assert cloud["token"].call_count == 1


def test_other_credentials_share_nothing(cloud: respx.Router, key: str) -> None:
    first = with_file(key)
    other = ServiceAccount("ci@acme.iam.gserviceaccount.com", 3600).create_key("https://oauth2.googleapis.com/token")
    second = Resources(secrets={FILE: Secret(json.dumps(other))}, google=first.google)
    for each in [minter({**KEY, "service_account": PULL}, resources) for resources in (first, second)]:
        each.mint()
    assert cloud["token"].call_count == 2


def test_nothing_of_an_account_that_was_removed_is_kept(cloud: respx.Router, key: str) -> None:
    resources = with_file(key)
    for _ in range(2):
        minter({**KEY, "service_account": PULL}, resources).mint()  # and let go of, as a reload does
    assert cloud["token"].call_count == 2


def test_a_token_that_took_the_place_of_a_refused_one_stays() -> None:
    first, second = token("first"), token("second")
    source = Scripted(results=[first, second])
    source.gate.set()
    shared = SharedToken(source, ())
    assert shared.fetch(calls(), fresh=True) is first
    assert shared.fetch(calls(), fresh=True) is second
    shared.forget(first)
    assert shared.fetch(calls(), fresh=False) is second
    shared.forget(second)
    with pytest.raises(IndexError):  # it asks for another one
        shared.fetch(calls(), fresh=False)


def test_a_login_of_ones_own_is_always_fresh(cloud: respx.Router, key: str) -> None:
    own = minter(KEY, with_file(key))
    for _ in range(2):
        own.mint()
    assert cloud["token"].call_count == 2


def test_a_token_that_was_taken_back_is_not_used_twice(cloud: respx.Router, key: str) -> None:
    resources = with_file(key)
    cloud["token"].side_effect = [
        respx.MockResponse(json=granted("first")),
        respx.MockResponse(json=granted("second")),
    ]
    target = minter({**KEY, "service_account": PULL}, resources)
    cloud.post(iam_url(PULL), name=PULL).respond(401)
    with pytest.raises(NoIdentityError):
        target.mint()
    cloud.post(iam_url(PULL), name=PULL).respond(json=impersonated())
    target.mint()
    assert requests(cloud)[-1].headers["authorization"] == "Bearer second"


def test_a_refusal_to_act_as_an_account_says_nothing_of_the_token(cloud: respx.Router, key: str) -> None:
    resources = with_file(key)
    target = minter({**KEY, "service_account": PULL}, resources)
    cloud.post(iam_url(PULL), name=PULL).respond(403)
    for _ in range(2):
        with pytest.raises(TrustDeniedError):
            target.mint()
    assert cloud["token"].call_count == 1


@pytest.mark.parametrize(
    ("life", "passed", "asked"),
    [(3600, 3500, 1), (3600, 3550, 2), (300, 230, 1), (300, 250, 2), (10, 7, 1), (10, 9, 2), (10, 11, 2)],
)
def test_a_token_is_used_while_it_has_a_minute_left_or_a_fifth_of_its_life(
    monkeypatch: pytest.MonkeyPatch, life: float, passed: float, asked: int
) -> None:
    source = Scripted(results=[token("first", life), token("second", life)])
    source.gate.set()
    shared, now = SharedToken(source, (READ_ONLY,)), monotonic()
    monkeypatch.setattr(shared_tokens, "monotonic", lambda: now)
    shared.fetch(calls(), fresh=False)
    monkeypatch.setattr(shared_tokens, "monotonic", lambda: now + passed)
    shared.fetch(calls(), fresh=False)
    assert len(source.asked) == asked


def test_the_wall_clock_counts_too(monkeypatch: pytest.MonkeyPatch) -> None:
    source = Scripted(results=[token("first"), token("second")])
    source.gate.set()
    shared = SharedToken(source, ())
    shared.fetch(calls(), fresh=False)
    now = time()
    monkeypatch.setattr(shared_tokens, "time", lambda: now + 3590)  # the machine slept
    assert shared.fetch(calls(), fresh=False).secret == Secret("second")


def test_other_scopes_are_another_token() -> None:
    source = Scripted(results=[token("first"), token("second")])
    source.gate.set()
    shared = SharedTokens()
    assert shared.of(source, ("a",)).fetch(calls(), fresh=False).secret == Secret("first")
    assert shared.of(source, ("b",)).fetch(calls(), fresh=False).secret == Secret("second")
    assert source.asked == [("a",), ("b",)]


@pytest.mark.parametrize("fresh", [True, False])
def test_whoever_waits_shares_what_comes_of_it(monkeypatch: pytest.MonkeyPatch, fresh: bool) -> None:
    source = Scripted(results=[token("only")])
    shared = SharedToken(source, ())
    lock = counted(monkeypatch, shared)
    with ThreadPoolExecutor(THREADS) as pool:
        futures = [pool.submit(shared.fetch, calls(), fresh=fresh) for _ in range(THREADS)]
        lock.wait_for(THREADS)
        source.gate.set()
        assert {future.result().secret for future in futures} == {Secret("only")}
    assert len(source.asked) == 1


def test_whoever_waits_shares_a_failure_in_a_copy_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    error = TrustDeniedError("no", hint="look", target="role")
    source = Scripted(results=[error, token("later")])
    shared = SharedToken(source, ())
    lock = counted(monkeypatch, shared)
    with ThreadPoolExecutor(THREADS) as pool:
        futures = [pool.submit(shared.fetch, calls(), fresh=False) for _ in range(THREADS)]
        lock.wait_for(THREADS)
        source.gate.set()
        failures = [future.exception() for future in futures]
    assert len({id(failure) for failure in failures}) == THREADS
    assert {(type(each), str(each), vars(each)["hint"], vars(each)["target"]) for each in failures} == {
        (TrustDeniedError, "no", "look", "role")
    }
    assert len(source.asked) == 1
    assert shared.fetch(calls(), fresh=False).secret == Secret("later")  # and nobody else does


def test_nobody_waits_past_its_deadline() -> None:
    source = Scripted(results=[token("only")])
    shared = SharedToken(source, ())
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(shared.fetch, calls(), fresh=False)
        assert source.entered.wait(timeout=10)
        with pytest.raises(MintTimeoutError, match="is waited for in vain"):
            shared.fetch(calls(0.01), fresh=False)
        source.gate.set()
        assert first.result().secret == Secret("only")
