"""Nothing that blocks happens on the event loop: no client is made there, no credential fetched, nothing sent."""

import threading
from collections.abc import Callable, Iterator, Mapping

import pytest
from botocore.client import ClientCreator
from botocore.credentials import CredentialResolver, Credentials, RefreshableCredentials
from botocore.httpsession import URLLib3Session
from support.accounts import minters
from support.identity import forget_identity
from support.metadata import Metadata, metadata_server
from support.minters import Recorder
from support.standin import OffsetClock, cleaned

from ecrmint.cache import LoginCache
from ecrmint.minters import Endpoints, Minter, Resources
from ecrmint.minters._urls import Regional
from ecrmint.standin.cloud import Cloud
from ecrmint.standin.server import StandinServer

MACHINE = "arn:aws:iam::111111111111:role/machine"
PULL = "arn:aws:iam::222222222222:role/pull"
BLOCKING: tuple[tuple[type, str], ...] = (
    (ClientCreator, "create_client"),
    (CredentialResolver, "load_credentials"),
    (Credentials, "get_frozen_credentials"),
    (RefreshableCredentials, "get_frozen_credentials"),
    (URLLib3Session, "send"),
)
ACCOUNTS: Mapping[str, Mapping[str, object]] = {
    "own identity": {"type": "ecr", "registries": ("111111111111.dkr.ecr.eu-west-1.amazonaws.com",)},
    "role": {"type": "ecr", "registries": ("222222222222.dkr.ecr.eu-west-1.amazonaws.com",), "role_arn": PULL},
    "public": {"type": "ecr-public", "role_arn": PULL},
}


@pytest.fixture(scope="module")
def server() -> Iterator[StandinServer]:
    cloud = Cloud(clock=OffsetClock())
    cloud.add_role(MACHINE, trust=[MACHINE])
    cloud.add_role(PULL, trust=[MACHINE])
    with StandinServer(cloud) as running:
        yield running


@pytest.fixture
def metadata(server: StandinServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Metadata]:
    """Be a machine whose identity is got over the network."""
    forget_identity(monkeypatch)
    with cleaned(server.cloud) as cloud, metadata_server() as metadata:
        metadata.key = cloud.issue_session(cloud.roles[MACHINE], name="machine", seconds=3600)
        metadata.be_ec2(monkeypatch)
        yield metadata


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> dict[str, set[int]]:
    """Return the threads that each blocking function runs in."""
    seen: dict[str, set[int]] = {}

    def watch(owner: type, name: str) -> Callable[..., object]:
        original: Callable[..., object] = getattr(owner, name)

        def watched(*arguments: object, **named: object) -> object:
            seen.setdefault(f"{owner.__name__}.{name}", set()).add(threading.get_ident())
            return original(*arguments, **named)

        return watched

    for owner, name in BLOCKING:
        monkeypatch.setattr(owner, name, watch(owner, name))
    return seen


def made(server: StandinServer, account: str) -> Minter:
    there = Regional(server.url)
    resources = Resources(endpoints=Endpoints(sts=there, ecr=there, ecr_public=there))
    (minter,) = minters(ACCOUNTS[account], resources).values()
    return minter


@pytest.mark.usefixtures("metadata")
@pytest.mark.parametrize("account", ACCOUNTS)
async def test_a_mint_for_the_cache_blocks_threads_of_its_own(
    server: StandinServer, seen: Mapping[str, set[int]], account: str
) -> None:
    cache = LoginCache(Recorder())
    outcome = await cache.get(made(server, account), timeout_minutes=60, wait_seconds=20)
    assert outcome.kind == "minted"
    assert seen.keys() >= {"ClientCreator.create_client", "CredentialResolver.load_credentials", "URLLib3Session.send"}
    assert threading.get_ident() not in set[int]().union(*seen.values())
    await cache.close()


@pytest.mark.usefixtures("metadata")
async def test_a_mint_on_the_loop_would_be_seen(server: StandinServer, seen: Mapping[str, set[int]]) -> None:
    made(server, "role").mint()
    assert all(threads == {threading.get_ident()} for threads in seen.values())
    assert "ClientCreator.create_client" in seen
