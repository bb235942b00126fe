"""AWS's clients: one session for all, since a second one costs 9 MB for ever; a client for each service and address.

Importing this imports nothing of AWS's.
"""

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol, TypedDict, TypeVar

from ecrmint.minters._attempt import attempt
from ecrmint.minters._aws.identity import Identity, ask_own_arn, explain_identity, take_over
from ecrmint.minters._aws.retries import retry_over
from ecrmint.minters._aws.transport import Transport
from ecrmint.minters._aws.watch import Watch
from ecrmint.minters._observer import SILENT, CloudObserver
from ecrmint.tokens import Secret

if TYPE_CHECKING:
    from boto3.session import Session
    from botocore.awsrequest import AWSResponse
    from botocore.config import Config
    from botocore.credentials import ReadOnlyCredentials
    from botocore.session import Session as CoreSession
    from mypy_boto3_ecr import ECRClient
    from mypy_boto3_sts import STSClient

_CONNECT_SECONDS: Final = 2
_READ_SECONDS: Final = 5
_ATTEMPTS: Final = 2  # the first one included
_CONNECTIONS: Final = 64  # as many as the cache has threads: what is over is dropped, with a warning

Send = Callable[..., "AWSResponse"]
"""Takes botocore's ``request`` and returns the answer."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a call goes: a region's endpoint, or ``url`` instead."""

    region: str
    url: str | None = None
    fips: bool = False
    dual_stack: bool = False


@dataclass(frozen=True, slots=True)
class SessionKey:
    """Temporary credentials of a role: used for one call, then dropped. ``arn``: that of the role's session."""

    arn: str
    id: str
    secret: Secret
    token: Secret


class EcrPublicClient(Protocol):
    """The part of botocore's client for ECR Public that is used."""

    def get_authorization_token(self) -> Mapping[str, object]:
        """Call GetAuthorizationToken."""

    def close(self) -> None:
        """End its connections."""


class _Arguments(TypedDict, total=False):
    region_name: str
    endpoint_url: str | None
    config: "Config"
    aws_access_key_id: str
    aws_secret_access_key: str
    aws_session_token: str


class _Closable(Protocol):
    def close(self) -> None: ...


_Client = TypeVar("_Client", bound=_Closable)
_Make = Callable[["Session", _Arguments], _Client]


@dataclass(frozen=True, slots=True)
class _Opened:
    """The session, and whose it is."""

    session: "Session"
    identity: Identity


@dataclass(slots=True, eq=False)
class Aws:
    """Clients for any thread. Clients may be shared by threads, their making may not (boto3's guide on sessions).

    ``send``: what sends requests, in the place of the network.
    """

    observer: CloudObserver = SILENT
    send: Send | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _opened: _Opened | None = None
    _sts: "dict[Place, STSClient]" = field(default_factory=dict)
    _unsigned_sts: "dict[Place, STSClient]" = field(default_factory=dict)
    _ecr: "dict[Place, ECRClient]" = field(default_factory=dict)
    _ecr_public: dict[Place, EcrPublicClient] = field(default_factory=dict)

    def sts(self, place: Place) -> "STSClient":
        """Return a client that signs as the process itself. Raises: MintError where that is nobody."""
        self._identify(place)
        return self._kept(self._sts, _make_sts, place)

    def own_arn(self, place: Place) -> str:
        """Return the ARN of the process itself, "" where STS says none. Raises: MintError, as where that is nobody."""
        return ask_own_arn(self.sts(place))

    def own_account(self, place: Place) -> str | None:
        """Return the process's own account where its credentials say it, as those of a role do; no call is made for it.

        Raises: MintError where the process is nobody.
        """
        return self._identify(place).account_id

    def signer(self, place: Place) -> "tuple[ReadOnlyCredentials, str]":
        """Return what the process itself signs with, and its region, or the place's where nothing says one.

        Raises: MintError where the process is nobody.
        """
        credentials = self._identify(place)
        with self._lock:
            return credentials, self._open(place).session.region_name or place.region

    def unsigned_sts(self, place: Place) -> "STSClient":
        """Return a client that signs nothing, and so needs no identity."""
        return self._kept(self._unsigned_sts, _make_unsigned_sts, place)

    @contextmanager
    def sts_as(self, place: Place, key: SessionKey) -> "Iterator[STSClient]":
        """Lend a client that signs with that key."""
        with closing(self._made(_make_sts, place, key)) as client:
            yield client

    @contextmanager
    def ecr(self, place: Place, key: SessionKey | None) -> "Iterator[ECRClient]":
        """Lend a client that signs with that key, or as the process itself. Raises: MintError where that is nobody."""
        if key is None:
            self._identify(place)
            yield self._kept(self._ecr, _make_ecr, place)
            return
        with closing(self._made(_make_ecr, place, key)) as client:
            yield client

    @contextmanager
    def ecr_public(self, place: Place, key: SessionKey | None) -> Iterator[EcrPublicClient]:
        """Lend a client that signs with that key, or as the process itself. Raises: MintError where that is nobody."""
        if key is None:
            self._identify(place)
            yield self._kept(self._ecr_public, _make_ecr_public, place)
            return
        with closing(self._made(_make_ecr_public, place, key)) as client:
            yield client

    def _kept(self, clients: dict[Place, _Client], make: "_Make[_Client]", place: Place) -> _Client:
        with self._lock:
            if place not in clients:
                clients[place] = make(self._open(place).session, _arguments(place))
            return clients[place]

    def _made(self, make: "_Make[_Client]", place: Place, key: SessionKey) -> _Client:
        with self._lock:
            return make(self._open(place).session, _arguments(place, key))

    def _identify(self, place: Place) -> "ReadOnlyCredentials":
        """Return credentials that last: else a client's making would look for them, by network and under the lock."""
        with self._lock:
            identity = attempt(partial(self._open, place), explain_identity).identity
        return identity.ensure()

    def _open(self, place: Place) -> _Opened:
        if self._opened is None:
            self._opened = _open_session(place.region, self.observer, self.send)
        return self._opened


def _open_session(region: str, observer: CloudObserver = SILENT, send: Send | None = None) -> _Opened:
    import boto3
    import botocore.session

    core = botocore.session.Session()
    # The STS client inside IRSA's and profiles' providers has no other way to learn the timeouts, nor AWS_REGION:
    # without a region it asks the global endpoint, whose tokens opt-in regions refuse.
    core.set_default_client_config(_config(Place(region)))
    own_region = os.environ.get("AWS_REGION") or core.get_config_variable("region") or region
    core.set_config_variable("region", own_region)
    identity = take_over(core)
    session = boto3.Session(botocore_session=core)
    # The stub knows no listener whose return value counts.
    session.events.register("before-send", send or _transport(core).send)  # type: ignore[arg-type]
    Watch(observer).over(session.events)
    retry_over(session.events)
    return _Opened(session, identity)


def _transport(core: "CoreSession") -> Transport:
    # botocore's own order, and what every other program on the machine goes by after it.
    variables = (os.environ.get(name) for name in ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"))
    bundle = core.get_config_variable("ca_bundle") or next(filter(None, variables), None)
    return Transport(
        connect_seconds=_CONNECT_SECONDS, read_seconds=_READ_SECONDS, verify=bundle or True, connections=_CONNECTIONS
    )


def _make_sts(session: "Session", arguments: _Arguments) -> "STSClient":
    return session.client("sts", **arguments)


def _make_unsigned_sts(session: "Session", arguments: _Arguments) -> "STSClient":
    from botocore import UNSIGNED
    from botocore.config import Config

    arguments["config"] = arguments["config"].merge(Config(signature_version=UNSIGNED))
    return session.client("sts", **arguments)


def _make_ecr(session: "Session", arguments: _Arguments) -> "ECRClient":
    return session.client("ecr", **arguments)


def _make_ecr_public(session: "Session", arguments: _Arguments) -> EcrPublicClient:
    client: EcrPublicClient = session.client("ecr-public", **arguments)
    return client


def _arguments(place: Place, key: SessionKey | None = None) -> _Arguments:
    arguments: _Arguments = {"region_name": place.region, "endpoint_url": place.url, "config": _config(place)}
    if key is not None:
        arguments["aws_access_key_id"] = key.id
        arguments["aws_secret_access_key"] = key.secret.reveal()
        arguments["aws_session_token"] = key.token.reveal()
    return arguments


def _config(place: Place) -> "Config":
    from botocore.config import Config

    return Config(
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=_READ_SECONDS,
        retries={"mode": "standard", "total_max_attempts": _ATTEMPTS},
        max_pool_connections=_CONNECTIONS,
        # None: what AWS_USE_FIPS_ENDPOINT and AWS_USE_DUALSTACK_ENDPOINT say. An address is asked whatever the form.
        use_fips_endpoint=place.fips or None,
        use_dualstack_endpoint=place.dual_stack or None,
    )
