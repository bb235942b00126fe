"""What an observer is told of the calls to AWS."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import pytest
from support.accounts import minter
from support.standin import USER, OffsetClock

from ecrmint.errors import MintError
from ecrmint.minters import Endpoints, Resources
from ecrmint.minters._urls import Regional
from ecrmint.standin.cloud import Cloud
from ecrmint.standin.faults import Failure
from ecrmint.standin.server import StandinServer

PULL = "arn:aws:iam::222222222222:role/pull"
ROLE: Mapping[str, object] = {
    "type": "ecr",
    "registries": ("222222222222.dkr.ecr.eu-west-1.amazonaws.com",),
    "role_arn": PULL,
}
BOTH = [("ecr", "assume_role"), ("ecr", "get_authorization_token")]


@dataclass
class Kept:
    """Keeps what it is told."""

    calls: list[tuple[str, str]] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    skews: list[tuple[str, float]] = field(default_factory=list)

    def call_ended(self, provider: str, call: str, seconds: float) -> None:
        self.calls.append((provider, call))
        self.seconds.append(seconds)

    def tags_dropped(self, account: str, tag: str) -> None:
        raise AssertionError("there are no tags here")

    def clock_skew(self, provider: str, seconds: float) -> None:
        self.skews.append((provider, seconds))


@pytest.fixture(scope="module")
def server() -> Iterator[StandinServer]:
    cloud = Cloud(clock=OffsetClock())
    cloud.add_role(PULL, trust=[USER])
    with StandinServer(cloud) as running:
        yield running


@pytest.fixture
def kept() -> Kept:
    return Kept()


@pytest.fixture
def resources(server: StandinServer, kept: Kept) -> Resources:
    endpoints = Endpoints(sts=Regional(server.url), ecr=Regional(server.url))
    return Resources.watched(kept, endpoints=endpoints, secrets={})


@pytest.mark.usefixtures("cloud")
def test_each_call_is_told_once_by_its_name(resources: Resources, kept: Kept) -> None:
    minter(ROLE, resources).mint()
    assert kept.calls == BOTH
    assert all(0 < seconds < 30 for seconds in kept.seconds)


def test_a_call_that_is_tried_again_is_one_call(cloud: Cloud, resources: Resources, kept: Kept) -> None:
    cloud.faults["ecr.GetAuthorizationToken"].throttles = 1
    minter(ROLE, resources).mint()
    assert kept.calls == BOTH


@pytest.mark.parametrize("latency", [0, 30], ids=["an answer", "no answer"])
def test_a_call_that_fails_is_told_too(
    cloud: Cloud, resources: Resources, kept: Kept, latency: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ecrmint.minters._aws.clients._READ_SECONDS", 0.05)
    cloud.faults["sts.AssumeRole"].error = Failure(403, "AccessDenied")
    cloud.faults["sts.AssumeRole"].latency = latency
    with pytest.raises(MintError):
        minter(ROLE, resources).mint()
    assert kept.calls == BOTH[:1]


@pytest.mark.parametrize("offset", [0.0, 3600.0, -100.0])
def test_the_clouds_clock_is_compared_with_ours(cloud: Cloud, resources: Resources, kept: Kept, offset: float) -> None:
    assert isinstance(cloud.clock, OffsetClock)
    cloud.clock.seconds = offset
    if abs(offset) > 900:
        with pytest.raises(MintError):
            minter(ROLE, resources).mint()
    else:
        minter(ROLE, resources).mint()
    assert {provider for provider, _ in kept.skews} == {"ecr"}
    assert all(abs(seconds - offset) < 30 for _, seconds in kept.skews)
