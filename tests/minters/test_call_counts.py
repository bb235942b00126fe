"""What logins cost: one call to STS for each role and one to ECR, for each key and refresh, however many wait."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pytest
from support.accounts import minter, minters
from support.clock import SettableClock
from support.minters import Recorder, settled
from support.standin import USER, OffsetClock

from ecrmint.cache import LoginCache
from ecrmint.minters import Minter, Resources
from ecrmint.standin.cloud import Cloud
from ecrmint.standin.server import StandinServer
from ecrmint.wire import RegistryRequest

HUB = "arn:aws:iam::111111111111:role/hub"
WEB = "arn:aws:iam::111111111111:role/web"
PULL = "arn:aws:iam::222222222222:role/pull"
HOST = "222222222222.dkr.ecr.eu-west-1.amazonaws.com"
OWN: Mapping[str, object] = {"type": "ecr", "registries": (HOST,)}
ROLE: Mapping[str, object] = {**OWN, "role_arn": PULL}
WEB_CHAIN: Mapping[str, object] = {
    **ROLE,
    "web_identity_token_file": "",
    "via": ({"role_arn": WEB}, {"role_arn": HUB}),
}
ISSUER = "https://oidc.example"
WAITERS = 50
HALF_A_LIFE = 6 * 3600.0  # seconds


@pytest.fixture(scope="module")
def server() -> Iterator[StandinServer]:
    cloud = Cloud(clock=OffsetClock())
    issuer = cloud.add_oidc_provider(ISSUER, "111111111111")
    cloud.add_role(HUB, trust=[USER, WEB])
    cloud.add_role(WEB, web_trust=[issuer.trusted(sub="ci", aud="sts.amazonaws.com")])
    cloud.add_role(PULL, trust=[USER, HUB, WEB], tag_session=True)
    with StandinServer(cloud) as running:
        yield running


@pytest.fixture
def clock() -> SettableClock:
    return SettableClock(wall=time.time())


@pytest.fixture
def cache(clock: SettableClock) -> LoginCache:
    return LoginCache(Recorder(), clock=clock, roll=lambda: 0.0)


async def ask(cache: LoginCache, asked: Iterable[Minter]) -> Counter[str]:
    """Return how the requests were served, all of them at once; whatever is refreshed meanwhile has ended too."""
    waiting = (cache.get(each, timeout_minutes=60, wait_seconds=30) for each in asked)
    outcomes = await asyncio.gather(*waiting)
    await settled()
    return Counter(outcome.kind for outcome in outcomes)


def spent(cloud: Cloud) -> Counter[str]:
    """Return the calls since the last time, by API."""
    calls = Counter[str](call.api for call in cloud.calls)
    cloud.calls.clear()
    return calls


@pytest.fixture
def made(request: pytest.FixtureRequest, cloud: Cloud, resources: Resources, tmp_path: Path) -> Minter:
    """The minter of the keys that the test names, and of a web identity where it names a file's."""
    file = tmp_path / "token"
    file.write_text(cloud.oidc_providers["111111111111", ISSUER].token(sub="ci"), encoding="utf-8")
    fields: Mapping[str, object] = request.param
    web = {"web_identity_token_file": str(file)} if "web_identity_token_file" in fields else {}
    return minter({**fields, **web}, resources)


@pytest.mark.parametrize(
    ("made", "calls"),
    [
        (OWN, {}),
        (ROLE, {"sts.AssumeRole": 1}),
        ({**ROLE, "via": ({"role_arn": HUB},)}, {"sts.AssumeRole": 2}),
        (WEB_CHAIN, {"sts.AssumeRoleWithWebIdentity": 1, "sts.AssumeRole": 2}),
    ],
    indirect=["made"],
    ids=["own identity", "role", "chain", "web identity and chain"],
)
async def test_each_mint_is_one_call_for_each_role_and_one_to_ecr(
    cloud: Cloud, cache: LoginCache, clock: SettableClock, made: Minter, calls: Mapping[str, int]
) -> None:
    expected = {**calls, "ecr.GetAuthorizationToken": 1}
    assert await ask(cache, [made] * WAITERS) == {"minted": WAITERS}
    assert spent(cloud) == expected
    assert await ask(cache, [made] * WAITERS) == {"hit": WAITERS}
    assert spent(cloud) == {}
    clock.advance(HALF_A_LIFE)
    assert await ask(cache, [made] * WAITERS) == {"hit": WAITERS}
    assert spent(cloud) == expected


async def test_fifty_accounts_at_once_cost_two_calls_each(
    cloud: Cloud, resources: Resources, cache: LoginCache
) -> None:
    accounts = [f"{number:012}" for number in range(1, WAITERS + 1)]
    for account in accounts:
        cloud.add_role(f"arn:aws:iam::{account}:role/many", trust=[USER])
    hosts = tuple(f"{account}.dkr.ecr.eu-west-1.amazonaws.com" for account in accounts)
    made = minters({**OWN, "registries": hosts, "role": "many"}, resources).values()
    assert await ask(cache, [*made, *made]) == {"minted": 2 * WAITERS}
    assert spent(cloud) == {"sts.AssumeRole": WAITERS, "ecr.GetAuthorizationToken": WAITERS}


async def test_builds_with_equal_tags_share_a_mint(cloud: Cloud, resources: Resources, cache: LoginCache) -> None:
    made = minter({**ROLE, "session_tags": ("namespace", "event")}, resources)
    builds = [RegistryRequest(f"team-{number % 5}/app-{number}", event="push") for number in range(WAITERS)]
    assert await ask(cache, [made.for_build(build) for build in builds]) == {"minted": WAITERS}
    assert spent(cloud) == {"sts.AssumeRole": 5, "ecr.GetAuthorizationToken": 5}
