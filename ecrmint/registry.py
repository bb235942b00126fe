"""Tries a login at a registry as a docker client would, up to the point where it is taken or refused. No redirect.

Sources: OCI distribution specification, "Determining Support"; the Distribution project's "Token authentication
specification", for registries that send a login to a token service; RFC 7617.
"""

import re
from base64 import b64encode
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode, urlsplit

from ecrmint.addresses import Address
from ecrmint.errors import LoginRefusedError, MalformedAnswerError
from ecrmint.minters._google.access_token import json_object
from ecrmint.minters._http import Answer, Calls, failure_of
from ecrmint.tokens import Login

_OK, _UNAUTHORIZED, _FORBIDDEN, _TOO_MANY, _SERVER_FAULT = 200, 401, 403, 429, 500
_NAMES: Final = {"docker.io": "registry-1.docker.io"}  # docker clients know this; nothing at docker.io says it
_BEARER: Final = re.compile(r"\bBearer\s+((?:\w+=\"[^\"]*\"[\s,]*)+)", re.IGNORECASE)
_PARAMETER: Final = re.compile(r"(\w+)=\"([^\"]*)\"")
_REFUSED_HINT: Final = (
    "the login is another registry's, has ended, or was taken back; or what is asked is not this registry"
)


@dataclass(frozen=True, slots=True)
class Registry:
    """``host``: as the configuration names it; ``url``: the address that is asked in its place."""

    host: str
    url: str | None = None

    def prove(self, login: Login, calls: Calls) -> None:
        """Return where the registry takes the login. Raises: LoginRefusedError; MintError for no good answer."""
        name = _NAMES.get(self.host, self.host) if self.url is None else self.host
        headers = {"Host": name, **_basic(login)}
        answer = calls.get(f"{self.url or _address(name)}/v2/", headers=headers, what=self.host)
        challenge = _BEARER.search(answer.headers.get("www-authenticate", ""))
        if answer.status == _UNAUTHORIZED and challenge is not None:
            self._prove_by_token(dict(_PARAMETER.findall(challenge[1])), login, calls)
        elif answer.status != _OK:
            raise self._failure(self.host, answer)

    def _prove_by_token(self, challenge: dict[str, str], login: Login, calls: Calls) -> None:
        """Ask the token service that the registry names: it gives a token for a good login alone."""
        realm = challenge.get("realm", "")
        if not _is_safe(realm):
            raise MalformedAnswerError(f"{self.host} sends logins where they would not be safe: its realm is not https")
        what = f"the token service of {self.host}"
        query = urlencode({"service": challenge.get("service", ""), "account": login.username})
        answer = calls.get(f"{realm}{'&' if '?' in realm else '?'}{query}", headers=_basic(login), what=what)
        if answer.status != _OK:
            raise self._failure(what, answer)
        content = json_object(answer)
        if not (content.get("token") or content.get("access_token")):
            raise MalformedAnswerError(f"{what} answers without a token")

    def _failure(self, what: str, answer: Answer) -> Exception:
        if answer.status in (_UNAUTHORIZED, _FORBIDDEN):
            return LoginRefusedError(f"{what} does not accept the login ({answer.status})", hint=_REFUSED_HINT)
        if answer.status == _TOO_MANY or answer.status >= _SERVER_FAULT:
            return failure_of(what, answer)
        return MalformedAnswerError(
            f"{what} answers {answer.status}, as no registry does",
            hint=f"look at what {self.host} is, and at `endpoints.registries`; a login follows no redirect",
        )


def _address(name: str) -> str:
    # Docker clients, too, ask a registry on the machine itself without TLS.
    host = name.partition(":")[0]
    return f"{'http' if Address(host, 0).loopback else 'https'}://{name}"


def _basic(login: Login) -> dict[str, str]:
    return {"Authorization": f"Basic {b64encode(f'{login.username}:{login.password.reveal()}'.encode()).decode()}"}


def _is_safe(realm: str) -> bool:
    try:
        parts = urlsplit(realm)
        host = parts.hostname or ""
    except ValueError:
        return False
    named = bool(host) and realm.isprintable() and parts.username is None and not parts.fragment
    return named and (parts.scheme == "https" or (parts.scheme == "http" and Address(host, 0).loopback))
