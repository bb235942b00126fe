"""The token of a web identity: a file that whoever projects it renews, so it is read at each mint."""

import json
from base64 import urlsafe_b64decode
from pathlib import Path
from typing import Final

from ecrmint.errors import NoIdentityError, WebIdentity
from ecrmint.tokens import Secret
from ecrmint.yamlfile import looks_random

_LARGEST: Final = 20_000  # characters; STS API Reference, AssumeRoleWithWebIdentity, WebIdentityToken
_HINT: Final = "look at `web_identity_token_file` and at the volume that is projected there"


def read_token(file: str) -> Secret:
    """Return the token in a file, without line ends after it. Raises: NoIdentityError, with no part of it."""
    token, shown = _read(file).rstrip(b"\r\n"), _shown(file)
    if not token or len(token) > _LARGEST:
        size = f"larger than {_LARGEST} bytes" if token else "empty"
        raise NoIdentityError(f"the web identity's token file {shown} is {size}", hint=_HINT)
    if not token.isascii() or not token.decode().isprintable() or b" " in token:
        raise NoIdentityError(f"the web identity's token file {shown} holds no token", hint=_HINT)
    return Secret(token.decode())


def read_claims(file: str) -> WebIdentity | None:
    """Return who the token in a file says that it is for, unverified; None where it does not say."""
    try:
        _, payload, _ = read_token(file).reveal().split(".")
        claims = json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        # RFC 7519, section 4.1.3: several audiences are a list.
        audience = claims["aud"] if isinstance(claims["aud"], str) else claims["aud"][0]
        return WebIdentity(issuer=str(claims["iss"]), subject=str(claims["sub"]), audience=str(audience))
    except (NoIdentityError, ValueError, LookupError, TypeError, RecursionError):
        return None  # and not raised: some of them hold the token


def _read(file: str) -> bytes:
    try:
        with Path(file).open("rb") as opened:
            return opened.read(_LARGEST + len("\r\n") + 1)  # so that a wrong path such as /dev/zero ends
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a file's name"
    raise NoIdentityError(f"the web identity's token file {_shown(file)} can't be read: {reason}", hint=_HINT)


def _shown(file: str) -> str:
    return "(not shown: it may be the token)" if looks_random(file) else file
