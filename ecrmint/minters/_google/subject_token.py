"""The token of another identity provider, from a file or a URL, as text or as a field of JSON: read at each mint.

Source: google.aip.dev/auth/4117, ``credential_source``.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from ecrmint.errors import NoIdentityError
from ecrmint.minters._google.access_token import OK
from ecrmint.minters._http import Calls, failure_of
from ecrmint.minters._urls import METADATA_HOSTS
from ecrmint.tokens import Secret
from ecrmint.yamlfile import looks_random

_LARGEST: Final = 64 << 10  # bytes
_HINT: Final = "look at `credential_source` in the credentials file"
_REFUSED: Final = (400, 401, 403, 404)


@dataclass(frozen=True, slots=True)
class TokenFormat:
    """``field_name``: that of the JSON which holds the token, None for a plain text."""

    field_name: str | None = None

    def read(self, content: bytes, *, what: str) -> Secret:
        """Return the token in that. Raises: NoIdentityError, with no part of it."""
        token = _text(content) if self.field_name is None else _field(content, self.field_name)
        if not token or not token.isascii() or not token.isprintable() or " " in token:
            raise NoIdentityError(f"{what} holds no token", hint=_HINT)
        return Secret(token)


@dataclass(frozen=True, slots=True)
class FileSubject:
    """A file that whoever projects it renews."""

    path: str
    format: TokenFormat

    def token(self, calls: Calls) -> Secret:
        """Return the token in the file. Raises: NoIdentityError."""
        return self.format.read(self._content(), what=self.describe(calls))

    def describe(self, calls: Calls) -> str:
        """Return where it is."""
        return f"the token file {'(not shown: it may be the token)' if looks_random(self.path) else self.path}"

    def _content(self) -> bytes:
        try:
            with Path(self.path).open("rb") as opened:
                content = opened.read(_LARGEST + 1)  # so that a wrong path such as /dev/zero ends
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not a file's name"
        else:
            if len(content) <= _LARGEST:
                return content
            reason = f"larger than {_LARGEST >> 10} KiB"
        raise NoIdentityError(f"the subject's token file can't be read: {reason}", hint=_HINT)


@dataclass(frozen=True, slots=True)
class UrlSubject:
    """A metadata server, or an address that the configuration allows. ``headers`` may hold a secret."""

    url: str
    format: TokenFormat
    headers: tuple[tuple[str, str], ...] = field(repr=False)

    def token(self, calls: Calls) -> Secret:
        """Return the token that is answered there. Raises: MintError."""
        what = self.describe(calls)
        # A metadata server is asked by no proxy.
        get = calls.get_metadata if urlsplit(self.url).hostname in METADATA_HOSTS else calls.get
        answer = get(self.url, headers=dict(self.headers), what=what)
        if answer.status in _REFUSED:
            raise NoIdentityError(f"{what} gives no token ({answer.status})", hint=_HINT)
        if answer.status != OK:
            raise failure_of(what, answer)
        return self.format.read(answer.body, what=what)

    def describe(self, calls: Calls) -> str:
        """Return whose answer it is; a URL's query may hold a secret."""
        return f"the token service at {urlsplit(self.url).hostname}"


def _text(content: bytes) -> str | None:
    try:
        return content.decode("ascii").strip()
    except ValueError:  # and not raised: the error holds the token
        return None


def _field(content: bytes, name: str) -> str | None:
    try:
        parsed: object = json.loads(content)
    except (ValueError, RecursionError):
        return None
    value = parsed.get(name) if isinstance(parsed, Mapping) else None
    return value if isinstance(value, str) else None
