"""A credentials file of Google's: an identity that it is the key of, or that it says how to come by.

Of the kinds that there are, people's are refused: their tokens open whatever the person may see. Source:
google.aip.dev/auth/4110, "Application Default Credentials", and what it refers to.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from ecrmint.errors import NoIdentityError
from ecrmint.minters._google.access_token import AccessToken, Source
from ecrmint.minters._google.apis import PUBLIC
from ecrmint.minters._google.email import check_delegate
from ecrmint.minters._google.external_account import parse_external, parse_impersonation
from ecrmint.minters._google.impersonation import ImpersonatedSource
from ecrmint.minters._google.json_fields import object_of
from ecrmint.minters._google.key import parse_key
from ecrmint.minters._google.surroundings import Surroundings
from ecrmint.minters._http import Calls
from ecrmint.tokens import Secret

_KEY, _EXTERNAL, _IMPERSONATED = _KINDS = ("service_account", "external_account", "impersonated_service_account")
_PEOPLES: Final = ("authorized_user", "external_account_authorized_user", "gdch_service_account")


@dataclass(frozen=True, slots=True)
class CredentialsFile:
    """``text``: the whole JSON, looked at anew by each mint. It has been checked when the configuration was read."""

    text: Secret
    around: Surroundings

    def fetch(self, scopes: tuple[str, ...], calls: Calls) -> AccessToken:
        """Return a token of the file's identity. Raises: MintError."""
        return self._source().fetch(scopes, calls)

    def identity(self, calls: Calls) -> str:
        """Return who that is. Raises: MintError."""
        return self._source().identity(calls)

    @property
    def life(self) -> float:
        """The seconds that its tokens live at most."""
        return parse_credentials(self.text.reveal(), self.around).life

    def _source(self) -> Source:
        try:
            return parse_credentials(self.text.reveal(), self.around)
        except ValueError as error:
            raise NoIdentityError(f"the credentials file can't be used: {error}") from None


def parse_credentials(text: str, around: Surroundings) -> Source:
    """Return the identity in a file. Raises: ValueError, with no part of a secret."""
    content = _object(text)
    kind = content.get("type")
    if around.self_signed and kind != _KEY:
        raise ValueError(f"self_signed: without the key of a service account (type {_KEY}) this has no effect")
    _check_universe(content, around)
    return _impersonated(content, around) if kind == _IMPERSONATED else _direct(content, around)


def _object(text: str) -> Mapping[str, object]:
    try:
        content: object = json.loads(text)
    except (ValueError, RecursionError):  # and not raised: the error holds the text
        content = None
    if not isinstance(content, dict):
        raise ValueError(f"expected the JSON file that Google gives, of the type {', '.join(_KINDS)}")  # noqa: TRY004
    return content


def _direct(content: Mapping[str, object], around: Surroundings) -> Source:
    match content.get("type"):
        case "service_account":
            if around.subject_token_urls:
                raise ValueError("subject_token_urls: with the key of a service account these have no effect")
            return parse_key(content, around.apis, self_signed=around.self_signed)
        case "external_account":
            return parse_external(content, around)
    kind = next((kind for kind in _PEOPLES if kind == content.get("type")), "this type")
    raise ValueError(f"credentials of {kind} are not supported, expected the type {', '.join(_KINDS)}")


def _impersonated(content: Mapping[str, object], around: Surroundings) -> Source:
    inner = object_of(content, "source_credentials")
    _check_universe({**content, **inner}, around)  # where it says nothing it is of the whole file's
    return ImpersonatedSource(_direct(inner, around), parse_impersonation(content, around.apis, _delegates(content)))


def _delegates(content: Mapping[str, object]) -> tuple[str, ...]:
    delegates = content.get("delegates") or []
    if not isinstance(delegates, list) or not all(isinstance(each, str) for each in delegates):
        raise ValueError("delegates: expected a list of service accounts' emails")
    return tuple(map(check_delegate, delegates))


def _check_universe(content: Mapping[str, object], around: Surroundings) -> None:
    expected = around.apis.universe
    if content.get("universe_domain", PUBLIC) != expected:
        raise ValueError(f"is of another universe than {expected}: set `universe_domain` to the file's")
