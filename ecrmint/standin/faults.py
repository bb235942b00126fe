"""What can be made to go wrong in the stand-in cloud, and the record of who called what."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from starlette.responses import Response

Api = Literal[
    "sts.AssumeRole",
    "sts.AssumeRoleWithWebIdentity",
    "sts.GetCallerIdentity",
    "ecr.GetAuthorizationToken",
    "ecr-public.GetAuthorizationToken",
    "eks.credentials",
    "ecs.credentials",
    "imds.token",
    "imds.credentials",
    "google.metadata",
    "google.token",
    "google.generateAccessToken",
    "google.allowedLocations",
    "google.sts",
    "oidc.token",
    "registry.pull",
    "registry.push",
    "registry.v2",
    "unknown",
]


Expires = Literal["expired", "no_zone", "missing", "year_9999"]


@dataclass(frozen=True, slots=True)
class Call:
    """One call as it arrived, without any secret. ``caller`` is the identity that the call claims, "" for none."""

    api: Api
    caller: str
    target: str


@dataclass(frozen=True, slots=True)
class ErrorInfo:
    """What Google adds to an error for programs (google.rpc.ErrorInfo). ``metadata``: pairs of name and value."""

    reason: str
    domain: str
    metadata: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Failure:
    """An error answer: HTTP status, the API's own code, and its text. Each API writes it in its own shape."""

    status: int
    code: str
    message: str = ""
    info: ErrorInfo | None = None


class RefusedError(Exception):
    """A call that is answered with a failure."""

    def __init__(self, failure: Failure) -> None:
        self.failure = failure
        super().__init__(failure.code)


def region_disabled(account: str) -> Failure:
    """Return what STS answers where an account has switched it off in a region."""
    text = f"STS is not activated in this region for account:{account}. Your account administrator can activate STS"
    return Failure(403, "RegionDisabledException", f"{text} in this region using the IAM Console.")


@dataclass(slots=True)
class Faults:
    """The knobs of one API; may be turned from any thread while the server runs."""

    latency: float = 0.0  # seconds before the answer
    throttles: int = 0  # so many of the next calls are throttled
    error: Failure | None = None  # answered to every call
    next_errors: list[Failure] = field(default_factory=list)  # answered to the next calls, one each
    expires: Expires | None = None  # what the answer says of the end instead, whenever it really comes
    logins: int = 1  # how many ECR's answer holds
    proxy_account: str = ""  # whose registry ECR's answer names; "": the caller's
    life: float | None = None  # seconds until what is issued expires, instead of the real length
    truncated: bool = False  # the second half of the body is left out, under the same status
    alter: Callable[[Response], Response] | None = None  # what becomes of every answer; see malformed.py
