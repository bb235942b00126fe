"""What minting has in common for both of Amazon's registries: roles, then one call whose answer is the login."""

from abc import abstractmethod
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TypeVar

from ecrmint.errors import RegistryDeniedError
from ecrmint.minters._aws.clients import Aws, Place, SessionKey
from ecrmint.minters._aws.errors import malformed
from ecrmint.minters._aws.roles import Chain, silent, text
from ecrmint.minters._base import Tell
from ecrmint.tokens import Login, Secret
from ecrmint.wire import RegistryRequest

_MinterT = TypeVar("_MinterT", bound="RoleMinter")


@dataclass(frozen=True, slots=True)
class RoleMinter:
    """Mints the login of the last role of a chain, or of the process itself. ``place``: where the registry's API is."""

    account: str
    place: Place
    chain: Chain
    aws: Aws = field(compare=False, repr=False)

    @property
    def per_build(self) -> bool:
        """Whether the session has a build's tags."""
        return bool(self.chain.tag_keys)

    def for_build(self: _MinterT, request: RegistryRequest) -> _MinterT:
        """Return the minter of the build's login."""
        return replace(self, chain=self.chain.for_build(request))

    def mint(self) -> Login:
        """Assume the roles, if there are any, and ask for the login: one call each. Raises: MintError."""
        return self.ask(self.chain.assume(silent))

    def walk(self, tell: Tell) -> Login:
        """Mint, and tell who we are and the session that each role gave. Raises: MintError."""
        self.chain.tell_own(tell)
        return self.ask(self.chain.assume(tell))

    @abstractmethod
    def ask(self, key: SessionKey | None) -> Login:
        """Return the login that the registry's API gives to the key's bearer. Raises: MintError."""

    def denied(self, registry: str, actions: str, code: str) -> RegistryDeniedError:
        """Return the error of an identity that may not ask; ``actions``: what it needs."""
        who = self.chain.last.arn if self.chain.last else "the process's own identity"
        return RegistryDeniedError(
            f"{who} may not get a login from {registry} in {self.place.region} ({code})",
            hint=f"allow {actions} on the resource *",
        )


def login_of(data: Mapping[str, object]) -> Login:
    """Return the login of an authorization's data. Raises: MalformedAnswerError."""
    expires_at = _moment(data.get("expiresAt"))
    return Login("AWS", _password(text(data.get("authorizationToken"))), expires_at)


def _moment(expires_at: object) -> float:
    if not isinstance(expires_at, datetime) or expires_at.tzinfo is None:
        # Without a zone it might be any: a guess of some hours' error is no expiry.
        raise malformed("ECR's answer does not say when the login ends")
    return expires_at.timestamp()


def _password(token: str) -> Secret:
    """Return the password of a token: base64 of ``AWS:PASSWORD``. Raises: MalformedAnswerError."""
    try:
        decoded = b64decode(token, validate=True).decode("ascii")
    except ValueError:  # and not raised: the error holds the token
        decoded = ""
    username, _, password = decoded.partition(":")
    if username != "AWS" or not password:
        raise malformed("ECR's answer holds no login of the form AWS:PASSWORD")
    return Secret(password)
