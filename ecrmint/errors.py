"""Every error of ecrmint, in one tree. Each class has a stable short ``code``; texts may change, codes may not.

EcrmintError                     never raised itself
├── ConfigError                  "config": a refused configuration, all of its problems at once
├── RefusalError                 a request that gets no logins; ``reason`` says why in log and metrics
│   ├── FrontDoorError           "front_door": refused by its form alone, before its signature is looked at
│   ├── SignatureError           "signature": missing, wrong, stale or weak; its reader learns nothing more
│   └── RequestError             "request": signed, but its body can't be used; the text is safe to answer
├── LoginRefusedError            "login_refused": a registry does not take a login that `check --live` tries there
├── NoAnswerError                "no_answer": nobody answered a request that `ecrmint request` or `demo` sent
└── MintError                    a login that could not be minted
    ├── NoIdentityError          "no_identity": the process has no cloud identity to start from
    ├── TrustDeniedError         "trust_denied": the cloud refuses to give this role or account to us
    │   └── TagSessionDeniedError "tag_session_denied": the cloud gives the role, but not with tags
    ├── RegistryDeniedError      "registry_denied": the identity may not ask the registry for a login
    ├── WrongIdentityError       "wrong_identity": the answer is for another account, region or partition
    ├── PolicyTooLargeError      "policy_too_large": session policy and tags are more than the cloud packs
    ├── RegionDisabledError      "region_disabled": the cloud's account has this region switched off
    ├── ThrottledError           "throttled": too many calls
    ├── ClockSkewError           "clock_skew": our clock and the cloud's disagree
    ├── UnreachableError         "unreachable": no connection: DNS, TLS, proxy, refused
    ├── MintTimeoutError         "timeout": no answer in time
    ├── CloudError               "cloud_error": the cloud failed (5xx), or refused for a reason we don't know
    └── MalformedAnswerError     "malformed": an answer without a usable login

Nothing here knows HTTP: which status an error becomes is app.py's table.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar


class EcrmintError(Exception):
    """The root of the tree; never raised itself."""

    code: ClassVar[str] = "error"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a configuration, never with a secret's value in it.

    ``path`` is dotted (``accounts.prod.role_arn``); ``line`` and ``column`` count from 1, None where there is no place.
    """

    path: str
    message: str
    line: int | None = None
    column: int | None = None


class ConfigError(EcrmintError):
    """A configuration that is refused, with all of its problems."""

    code = "config"

    def __init__(self, problems: Sequence[Problem], *, source: str = "config") -> None:
        """``source`` is the file's name as the operator gave it."""
        self.problems = tuple(problems)
        self.source = source
        super().__init__("\n".join(self.lines()))

    def lines(self) -> list[str]:
        """One line a problem: ``file:line:column: path: message``."""
        return [f"{self._place(problem)}: {problem.path}: {problem.message}" for problem in self.problems]

    def _place(self, problem: Problem) -> str:
        if problem.line is None:
            return self.source
        return f"{self.source}:{problem.line}:{problem.column or 1}"


class RefusalError(EcrmintError):
    """A request that is refused; ``reason`` is from a closed set and goes to log and metrics."""

    code = "refused"

    def __init__(self, reason: str, text: str = "") -> None:
        self.reason = reason
        super().__init__(text or reason)


class FrontDoorError(RefusalError):
    """The request is refused by its form, before its signature is looked at; its text is safe to answer."""

    code = "front_door"


class SignatureError(RefusalError):
    """The signature does not hold; its text is for the log alone, the caller is told nothing."""

    code = "signature"


class RequestError(RefusalError):
    """The body can't be used; its text is one plain line that the caller may read."""

    code = "request"


class NoAnswerError(EcrmintError):
    """Nobody answered a request of ours: DNS, TLS, a proxy, refused, too late, or no HTTP."""

    code = "no_answer"


class LoginRefusedError(EcrmintError):
    """A registry does not take a login. ``hint``: what to do next."""

    code = "login_refused"

    def __init__(self, text: str, *, hint: str = "") -> None:
        self.hint = hint
        super().__init__(text)


class MintError(EcrmintError):
    """A login could not be minted.

    ``definite`` says whether the cloud said no (True: a login that is still cached must go) or whether nobody knows
    (False: a cached login stays in use while it is valid). The text is one plain sentence without any secret, and
    ``hint`` what to do next.
    """

    definite: ClassVar[bool] = False

    def __init__(self, text: str, *, hint: str = "") -> None:
        self.hint = hint
        super().__init__(text)


class NoIdentityError(MintError):
    """The process has no cloud identity to start from."""

    code = "no_identity"


@dataclass(frozen=True, slots=True)
class WebIdentity:
    """What the token of a web identity says of itself: the claims iss, sub and aud. None of them is secret."""

    issuer: str
    subject: str
    audience: str


class TrustDeniedError(MintError):
    """The cloud refuses to give this role or service account to us.

    ``target``: a role's ARN or a service account's email; ``external_id``: what the role was told; ``action``: what is
    not allowed, as the cloud calls it; ``web``: who asked, where that is a web identity. None of them is secret.
    """

    code = "trust_denied"
    definite = True

    def __init__(
        self,
        text: str,
        *,
        hint: str = "",
        target: str = "",
        action: str = "",
        external_id: str | None = None,
        web: WebIdentity | None = None,
    ) -> None:
        self.target, self.action, self.external_id, self.web = target, action, external_id, web
        super().__init__(text, hint=hint)


class TagSessionDeniedError(TrustDeniedError):
    """The cloud refuses to give this role together with session tags."""

    code = "tag_session_denied"
    definite = True


class RegistryDeniedError(MintError):
    """The identity may not ask the registry for a login."""

    code = "registry_denied"
    definite = True


class WrongIdentityError(MintError):
    """The answer is for another account, region or partition than the one configured."""

    code = "wrong_identity"
    definite = True


class PolicyTooLargeError(MintError):
    """Session policy and tags are more than the cloud packs into a session; nothing was taken back by it."""

    code = "policy_too_large"


class RegionDisabledError(MintError):
    """The cloud's account has this region switched off."""

    code = "region_disabled"


class ThrottledError(MintError):
    """The cloud says that there are too many calls."""

    code = "throttled"


class ClockSkewError(MintError):
    """Our clock and the cloud's disagree."""

    code = "clock_skew"


class UnreachableError(MintError):
    """No connection to the cloud: DNS, TLS, a proxy, refused."""

    code = "unreachable"


class MintTimeoutError(MintError):
    """The cloud did not answer in time."""

    code = "timeout"


class CloudError(MintError):
    """The cloud failed, or refused for a reason that is not known here."""

    code = "cloud_error"


class MalformedAnswerError(MintError):
    """The cloud's answer holds no usable login."""

    code = "malformed"
