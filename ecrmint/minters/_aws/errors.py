"""What AWS and botocore say when a call fails, in our classes. Nothing of their texts gets into ours.

Sources: the lists of common errors in the API references of STS and ECR; botocore's ``exceptions.py`` and
``retries/standard.py``.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from ecrmint.errors import (
    ClockSkewError,
    CloudError,
    MalformedAnswerError,
    MintError,
    MintTimeoutError,
    NoIdentityError,
    PolicyTooLargeError,
    RegionDisabledError,
    ThrottledError,
    UnreachableError,
)
from ecrmint.minters._aws.retries import is_transient

if TYPE_CHECKING:
    from botocore.exceptions import ClientError


@dataclass(frozen=True, slots=True)
class Step:
    """One kind of call: its name in a text, and which error an access denied, with that code, is here.

    ``broken``: what Python's own exceptions mean. botocore trips over an answer's shape, and an identity's files.
    ``missing``: what an access denied is instead where AWS says that this action is the one that is missing.
    """

    name: str
    denied: Callable[[str], MintError]
    broken: "Meaning"
    missing: Mapping[str, Callable[[str], MintError]] = field(default_factory=dict)

    def explain(self, error: Exception) -> MintError:
        """Return what the exception means in this call."""
        from botocore.exceptions import ClientError

        if isinstance(error, ClientError):
            return self._refusal(error)
        meanings = (meaning for kinds, meaning in _failures() if isinstance(error, kinds))
        return next(meanings, self.broken).error(self.name, type(error).__name__)

    def _refusal(self, error: "ClientError") -> MintError:
        details = error.response.get("Error", {})
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        code = _shown(str(details.get("Code", "")))
        # A wrong date has the code of a wrong signature: only the text tells the two apart.
        if _SKEW_TEXT.search(str(details.get("Message", ""))):
            return _SKEWED.error(self.name, code)
        if is_transient(code, str(details.get("Message", ""))):
            return _UNCHECKED.error(self.name, code)
        if code in _DENIED_CODES:
            action = _MISSING_ACTION.search(str(details.get("Message", "")))
            return self.missing.get(action[1] if action else "", self.denied)(code)
        return _REFUSALS.get(code, _by_status(status)).error(self.name, code)


@dataclass(frozen=True, slots=True)
class Meaning:
    """A class of ours, and what its text says about AWS."""

    kind: type[MintError]
    text: str
    hint: str = ""

    def error(self, step: str, detail: str) -> MintError:
        return self.kind(f"{step}: AWS {self.text} ({detail})", hint=self.hint)


_TOO_MANY, _SERVER_FAULT = 429, 500
ANOTHER_ANSWERS: Final = (
    "something else than AWS may have answered: look at `endpoints`, the AWS_ENDPOINT_URL variables and the proxy"
)
_SKEW_TEXT: Final = re.compile(r"Signature (?:expired|not yet current)", re.IGNORECASE)
_NETWORK_HINT: Final = "look at DNS, the proxy, security groups and the VPC endpoint of this service and region"
_TLS_HINT: Final = (
    "look at the certificates of AWS_CA_BUNDLE or SSL_CERT_FILE, which a proxy that signs for others needs"
)

_FAULT: Final = Meaning(
    CloudError,
    "failed",
    "AWS's fault or a proxy's, and tried again by itself: where it stays, AWS's health page says more",
)
_REFUSED: Final = Meaning(
    CloudError, "refuses the call", f"the code's meaning is in AWS's reference of the call; or {ANOTHER_ANSWERS}"
)
_SKEWED: Final = Meaning(ClockSkewError, "finds this machine's clock wrong", "set the clock: AWS allows 15 minutes")
_THROTTLED: Final = Meaning(
    ThrottledError,
    "says that there are too many calls",
    "it is tried again by itself; CloudTrail says who else calls as much in this account and region",
)
_BAD_KEY: Final = Meaning(
    NoIdentityError,
    "does not accept the credentials",
    # Where an opt-in region is not enabled, AWS knows no key of the account there.
    "they are wrong, deleted or over: renew the identity of the process; or their account has not enabled the region",
)
_BAD_TOKEN: Final = Meaning(
    NoIdentityError,
    "does not accept the web identity's token",
    "the role's account has no IAM identity provider for the token's issuer, that one does not list the token's"
    " audience (aud), or the token is over",
)
UNREADABLE: Final = Meaning(MalformedAnswerError, "answers what can't be read", ANOTHER_ANSWERS)
UNUSABLE: Final = Meaning(
    NoIdentityError,
    "credentials can't be used",
    "look at the profile, the token file and the AWS_ variables of the process",
)
_UNCHECKED: Final = Meaning(
    CloudError,
    "could not ask the web identity's issuer for its keys",
    "the issuer's /.well-known/openid-configuration and the keys that it names must be open to the internet",
)
_REGION_OFF: Final = Meaning(
    RegionDisabledError, "has switched the region off", "activate STS for this region in the role's account"
)
_TOO_LARGE: Final = Meaning(
    PolicyTooLargeError,
    "finds the session's policy and tags too large",
    "name fewer `repositories` or `session_tags`; tags that the caller's session passes on count too, as those of EKS"
    " Pod Identity do",
)
# STS has this code for any parameter, but only this one depends on what the configuration can't know.
_INVALID: Final = Meaning(
    CloudError,
    "refuses the call",
    "a `duration` may be longer than the role's maximum, or than 1h where our own identity is a role's session itself",
)
# Of a refused AssumeRole only the text says that it is not the role itself that is refused.
_MISSING_ACTION: Final = re.compile(r"not authorized to perform: ([a-z0-9-]+:[A-Za-z]+)")

_DENIED_CODES: Final = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"})
_REFUSALS: Final[Mapping[str, Meaning]] = {
    "BandwidthLimitExceeded": _THROTTLED,
    "ExpiredToken": _BAD_KEY,
    "ExpiredTokenException": _BAD_KEY,
    "IncompleteSignature": _BAD_KEY,
    "IncompleteSignatureException": _BAD_KEY,
    "InvalidClientTokenId": _BAD_KEY,
    "IDPRejectedClaim": _BAD_TOKEN,
    "InvalidIdentityToken": _BAD_TOKEN,
    "InvalidSignatureException": _BAD_KEY,
    "LimitExceededException": _THROTTLED,
    "MissingAuthenticationToken": _BAD_KEY,
    "MissingAuthenticationTokenException": _BAD_KEY,
    "PackedPolicyTooLarge": _TOO_LARGE,
    "PackedPolicyTooLargeException": _TOO_LARGE,
    "RegionDisabledException": _REGION_OFF,
    "RequestExpired": _SKEWED,
    "RequestInTheFuture": _SKEWED,
    "RequestLimitExceeded": _THROTTLED,
    "RequestThrottled": _THROTTLED,
    "RequestThrottledException": _THROTTLED,
    "RequestTimeTooSkewed": _SKEWED,
    "SignatureDoesNotMatch": _BAD_KEY,
    "SlowDown": _THROTTLED,
    "Throttling": _THROTTLED,
    "ThrottledException": _THROTTLED,
    "ThrottlingException": _THROTTLED,
    "TooManyRequestsException": _THROTTLED,
    "UnrecognizedClientException": _BAD_KEY,
    "ValidationError": _INVALID,
}


def _failures() -> Iterator[tuple[tuple[type[Exception], ...], Meaning]]:
    """Yield what each kind of exception means, the narrower kinds first."""
    from botocore import exceptions as boto
    from botocore.parsers import ResponseParserError

    yield (boto.ReadTimeoutError,), Meaning(MintTimeoutError, "did not answer in time", _NETWORK_HINT)
    yield (boto.SSLError,), Meaning(UnreachableError, "can't be reached safely", _TLS_HINT)
    yield (boto.HTTPClientError, boto.ConnectionError), Meaning(UnreachableError, "can't be reached", _NETWORK_HINT)
    yield (
        (boto.BaseEndpointResolverError, boto.EndpointProviderError),
        Meaning(UnreachableError, "has no such endpoint", "look at FIPS, dual-stack and the region's name"),
    )
    yield (ResponseParserError,), UNREADABLE
    yield (boto.BotoCoreError,), UNUSABLE


def _by_status(status: int) -> Meaning:
    """Return what an answer means whose code says nothing: a proxy's or a load balancer's page."""
    if status == _TOO_MANY:
        return _THROTTLED
    return _FAULT if status >= _SERVER_FAULT else _REFUSED


def malformed(text: str) -> MalformedAnswerError:
    """Return the error of an answer that can be read, and does not hold what it should."""
    return MalformedAnswerError(text, hint=ANOTHER_ANSWERS)


def _shown(code: str) -> str:
    """Return a code as AWS has them; what else stands in its place may be anything."""
    return code if re.fullmatch(r"[A-Za-z0-9.]{1,64}", code, re.ASCII) else "no code"
