"""The process's own AWS identity: where botocore finds it, searched for once however many wait.

Source: boto3's guide, "Credentials"; ``botocore/credentials.py``.
"""

import os
import re
import threading
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, sleep
from typing import TYPE_CHECKING, Final

from ecrmint.errors import MintError, NoIdentityError, TrustDeniedError
from ecrmint.minters._attempt import attempt
from ecrmint.minters._aws.errors import UNREADABLE, UNUSABLE, Step
from ecrmint.minters._aws.transport import Transport

if TYPE_CHECKING:
    from botocore.credentials import CredentialResolver, Credentials, ReadOnlyCredentials
    from botocore.session import Session
    from mypy_boto3_sts import STSClient

_REMEMBERED_SECONDS: Final = 2.0  # that a failure counts for who did not even wait for it
_RENEWAL_SECONDS: Final = 600  # before the end; botocore's own: until then the old credentials are used meanwhile
_AGENT_SECONDS: Final = 2.0  # to connect, and to wait for each piece of an answer
_PAUSE_SECONDS: Final = 0.2  # before an agent is asked again, of three times; botocore has 1
_TOKEN_FILE: Final = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"  # noqa: S105 - a variable's name
_AGENT_VARIABLES: Final = ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")
_LONGEST_TOKEN: Final = 20_000  # bytes that are looked at

# IAM User Guide, "IAM identifiers": what has any other form may be anything.
_OWN_ARN: Final = re.compile(r"arn:aws[a-z-]*:(?:iam|sts)::[0-9]{12}:[!-~]{1,640}", re.ASCII)

_HINT: Final = (
    "give the process a role (IRSA, EKS Pod Identity, an instance profile) or keys. In a container on EC2 the metadata"
    " of the instance needs a hop limit of 2; AWS_EC2_METADATA_DISABLED=true ends the search there sooner"
)


@dataclass(slots=True, eq=False)
class Identity:
    """Finds and renews credentials, in the place of a session's component ``credential_provider``.

    botocore shares a success alone: of 16 threads without an identity each searches, one after the other, for seconds.
    """

    _resolver: "CredentialResolver"
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _found: "Credentials | None" = None
    _failure: MintError | None = None
    _failed_at: float = 0.0  # monotonic

    def load_credentials(self) -> "Credentials | None":
        """Return what has been found: the session asks when a client is made, and that must not go to the network."""
        return self._found

    def ensure(self) -> "ReadOnlyCredentials":
        """Return credentials that last. Raises: MintError."""
        asked = monotonic()
        if self._found is not None and not _is_over_soon(self._found):
            # Not under the lock: one thread renews what has some time left, the others go on with it.
            return attempt(self._found.get_frozen_credentials, explain_identity)
        with self._lock:
            if self._failure is not None and self._failed_at > asked - _REMEMBERED_SECONDS:
                raise _copy(self._failure)
            try:
                return attempt(self._find, explain_identity)
            except MintError as error:
                self._failure, self._failed_at = _copy(error), monotonic()
                raise

    def _find(self) -> "ReadOnlyCredentials":
        if self._found is None:
            self._found = self._resolver.load_credentials()
        if self._found is None:
            raise NoIdentityError("no AWS credentials were found", hint=_HINT)
        return self._found.get_frozen_credentials()


def ask_own_arn(client: "STSClient") -> str:
    """Return the ARN of who the client signs as, "" where STS says none. Raises: MintError."""
    arn = attempt(client.get_caller_identity, _ASKING.explain).get("Arn")
    return arn if isinstance(arn, str) and _OWN_ARN.fullmatch(arn) else ""


def _copy(error: MintError) -> MintError:
    """Return an equal error for another thread: one that is raised keeps the frames of each that raised it."""
    return type(error)(str(error), hint=error.hint)


def take_over(session: "Session") -> Identity:
    """Return the identity that the session has from now on."""
    resolver: CredentialResolver = session.get_component("credential_provider")
    _bound_metadata(resolver, session.get_config_variable("metadata_service_timeout"))
    identity = Identity(resolver)
    session.register_component("credential_provider", identity)
    return identity


def _bound_metadata(resolver: "CredentialResolver", seconds: float) -> None:
    """Let the providers of metadata use our transport: EC2's has proxies, and no public way to take them away."""
    from botocore.utils import ContainerMetadataFetcher

    machine = Transport(connect_seconds=seconds, read_seconds=seconds)
    vars(vars(resolver.get_provider("iam-role"))["_role_fetcher"])["_session"] = machine
    agent = Transport(connect_seconds=_AGENT_SECONDS, read_seconds=_AGENT_SECONDS)
    fetcher = ContainerMetadataFetcher(session=agent, sleep=_pause)
    vars(resolver.get_provider("container-role"))["_fetcher"] = fetcher


def _pause(_: float) -> None:
    sleep(_PAUSE_SECONDS)


def _is_over_soon(credentials: "Credentials") -> bool:
    from botocore.credentials import RefreshableCredentials

    return isinstance(credentials, RefreshableCredentials) and credentials.refresh_needed(_RENEWAL_SECONDS)


def explain_identity(error: Exception) -> MintError:
    """Return what an exception of the search means."""
    from botocore.exceptions import CredentialRetrievalError

    if isinstance(error, ValueError) and _has_line_end(os.environ.get(_TOKEN_FILE)):
        return NoIdentityError(
            f"the token in the file that {_TOKEN_FILE} names has a line end, which no HTTP header may have",
            hint="write the file without one: printf %s, not echo",
        )
    if isinstance(error, CredentialRetrievalError) and any(name in os.environ for name in _AGENT_VARIABLES):
        return NoIdentityError(
            "the container's agent gives no AWS credentials",
            hint="look at the Pod Identity association or the task's role, and at the agent on this node",
        )
    return _STEP.explain(error)


def _has_line_end(file: str | None) -> bool:
    try:
        with Path(file or os.devnull).open("rb") as opened:
            token = opened.read(_LONGEST_TOKEN)
    except (OSError, ValueError):
        return False
    return b"\n" in token or b"\r" in token


def _untold(code: str) -> TrustDeniedError:
    return TrustDeniedError(
        f"AWS does not say who the process is ({code})", hint="look at the policy of STS's endpoint"
    )


def _refused(code: str) -> NoIdentityError:
    return NoIdentityError(f"AWS does not give the process its own identity ({code})", hint=_HINT)


# An unreadable token file, or an address of container credentials that is not allowed, is an OSError or a ValueError.
_STEP: Final = Step("the search for an identity", _refused, broken=UNUSABLE)
_ASKING: Final = Step("STS's GetCallerIdentity", _untold, broken=UNREADABLE)
