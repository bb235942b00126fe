"""AWS's clients: one session for all, since a second one costs 9 MB for ever; a client for each service and address.

Importing this imports nothing of AWS's.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final

from ecrmint.errors import NoIdentityError
from ecrmint.minters._attempt import attempt
from ecrmint.minters._aws_errors import UNUSABLE, Step
from ecrmint.minters._aws_watch import Watch
from ecrmint.minters._observer import SILENT, CloudObserver
from ecrmint.tokens import Secret

if TYPE_CHECKING:
    from boto3.session import Session
    from botocore.config import Config
    from botocore.credentials import Credentials
    from mypy_boto3_ecr import ECRClient
    from mypy_boto3_sts import STSClient

_CONNECT_SECONDS: Final = 2
_READ_SECONDS: Final = 5
_ATTEMPTS: Final = 2  # the first one included
_CONNECTIONS: Final = 64  # as many as the cache has threads: botocore drops what is over, and warns

_IDENTITY_HINT: Final = (
    "give the process a role (IRSA, EKS Pod Identity, an instance profile) or keys; AWS_EC2_METADATA_DISABLED=true ends"
    " the search for one sooner"
)


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


@dataclass(slots=True, eq=False)
class Aws:
    """Clients for any thread. Clients may be shared by threads, their making may not (boto3's guide on sessions)."""

    observer: CloudObserver = SILENT
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _session: "Session | None" = None
    _sts: "dict[Place, STSClient]" = field(default_factory=dict)
    _unsigned_sts: "dict[Place, STSClient]" = field(default_factory=dict)
    _ecr: "dict[Place, ECRClient]" = field(default_factory=dict)

    def sts(self, place: Place) -> "STSClient":
        """Return a client that signs as the process itself. Raises: MintError where that is nobody."""
        self._identify(place.region)
        with self._lock:
            if place not in self._sts:
                self._sts[place] = self._opened(place.region).client(
                    "sts", region_name=place.region, endpoint_url=place.url, config=_config(place)
                )
            return self._sts[place]

    def unsigned_sts(self, place: Place) -> "STSClient":
        """Return a client that signs nothing, and so needs no identity."""
        from botocore import UNSIGNED
        from botocore.config import Config

        with self._lock:
            if place not in self._unsigned_sts:
                self._unsigned_sts[place] = self._opened(place.region).client(
                    "sts",
                    region_name=place.region,
                    endpoint_url=place.url,
                    config=_config(place).merge(Config(signature_version=UNSIGNED)),
                )
            return self._unsigned_sts[place]

    @contextmanager
    def sts_as(self, place: Place, key: SessionKey) -> "Iterator[STSClient]":
        """Lend a client that signs with that key."""
        with self._lock:
            client = self._opened(place.region).client(
                "sts",
                region_name=place.region,
                endpoint_url=place.url,
                config=_config(place),
                aws_access_key_id=key.id,
                aws_secret_access_key=key.secret.reveal(),
                aws_session_token=key.token.reveal(),
            )
        with closing(client):
            yield client

    @contextmanager
    def ecr(self, place: Place, key: SessionKey | None) -> "Iterator[ECRClient]":
        """Lend a client that signs with that key, or as the process itself. Raises: MintError where that is nobody."""
        if key is None:
            yield self._own_ecr(place)
            return
        with closing(self._ecr_as(place, key)) as client:
            yield client

    def _own_ecr(self, place: Place) -> "ECRClient":
        self._identify(place.region)
        with self._lock:
            if place not in self._ecr:
                self._ecr[place] = self._opened(place.region).client(
                    "ecr", region_name=place.region, endpoint_url=place.url, config=_config(place)
                )
            return self._ecr[place]

    def _ecr_as(self, place: Place, key: SessionKey) -> "ECRClient":
        with self._lock:
            return self._opened(place.region).client(
                "ecr",
                region_name=place.region,
                endpoint_url=place.url,
                config=_config(place),
                aws_access_key_id=key.id,
                aws_secret_access_key=key.secret.reveal(),
                aws_session_token=key.token.reveal(),
            )

    def _identify(self, region: str) -> None:
        """Find credentials and renew what is about to end: else a client's making would, by network."""
        credentials = attempt(partial(self._credentials, region), _IDENTITY.explain)
        # Not under the lock: a renewal may take long, and botocore lets one thread do it while others use the old ones.
        attempt(credentials.get_frozen_credentials, _IDENTITY.explain)

    def _credentials(self, region: str) -> "Credentials":
        with self._lock:
            credentials = self._opened(region).get_credentials()
        if credentials is None:
            raise NoIdentityError("no AWS credentials were found", hint=_IDENTITY_HINT)
        return credentials

    def _opened(self, region: str) -> "Session":
        if self._session is None:
            self._session = _open_session(region)
            Watch(self.observer).over(self._session.events)
        return self._session


def _open_session(region: str) -> "Session":
    import boto3
    import botocore.session

    core = botocore.session.Session()
    # The STS client inside IRSA's and profiles' providers has no other way to learn the timeouts, nor AWS_REGION:
    # without a region it asks the global endpoint, whose tokens opt-in regions refuse.
    core.set_default_client_config(_config(Place(region)))
    own_region = os.environ.get("AWS_REGION") or core.get_config_variable("region") or region
    core.set_config_variable("region", own_region)
    return boto3.Session(botocore_session=core)


def _config(place: Place) -> "Config":
    from botocore.config import Config

    return Config(
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=_READ_SECONDS,
        retries={"mode": "standard", "total_max_attempts": _ATTEMPTS},
        max_pool_connections=_CONNECTIONS,
        # None: what AWS_USE_FIPS_ENDPOINT and AWS_USE_DUALSTACK_ENDPOINT say.
        use_fips_endpoint=place.fips or None,
        use_dualstack_endpoint=place.dual_stack or None,
    )


def _no_identity(code: str) -> NoIdentityError:
    return NoIdentityError(f"AWS does not give the process its own identity ({code})", hint=_IDENTITY_HINT)


# An unreadable token file, or an address of container credentials that is not allowed, is an OSError or a ValueError.
_IDENTITY: Final = Step("the search for an identity", _no_identity, broken=UNUSABLE)
