"""A Drone runner in memory: it writes and signs requests byte for byte as drone-go does, with no code of ecrmint's.

drone-go v1.7.1: ``drone/types.go`` (fields and their order), ``plugin/internal/client/client.go`` (headers).
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import formatdate
from typing import Final

ACCEPT: Final = "application/vnd.drone.registry.v1+json"
SECRET: Final = "bea26a2221fd8090ea38720fc445eca6"
NOW: Final = 1_668_499_951.0  # Tue, 15 Nov 2022 08:12:31 GMT, the date of the vectors
SIGNED: Final = ("accept", "accept-encoding", "content-type", "date", "digest")

BUILD: Final[Mapping[str, object]] = {
    "id": 0,
    "repo_id": 0,
    "trigger": "",
    "number": 0,
    "parent": 0,
    "status": "",
    "error": "",
    "event": "",
    "action": "",
    "link": "",
    "timestamp": 0,
    "title": "",
    "message": "",
    "before": "",
    "after": "",
    "ref": "",
    "source_repo": "",
    "source": "",
    "target": "",
    "author_login": "",
    "author_name": "",
    "author_email": "",
    "author_avatar": "",
    "sender": "",
    "params": {},
    "cron": "",
    "deploy_to": "",
    "deploy_id": 0,
    "debug": False,
    "started": 0,
    "finished": 0,
    "created": 0,
    "updated": 0,
    "version": 0,
    "stages": [],
}
REPO: Final[Mapping[str, object]] = {
    "id": 0,
    "uid": "",
    "user_id": 0,
    "namespace": "",
    "name": "",
    "slug": "",
    "scm": "",
    "git_http_url": "",
    "git_ssh_url": "",
    "link": "",
    "default_branch": "",
    "private": False,
    "visibility": "",
    "active": False,
    "config_path": "",
    "trusted": False,
    "protected": False,
    "ignore_forks": False,
    "ignore_pull_requests": False,
    "auto_cancel_pull_requests": False,
    "auto_cancel_pushes": False,
    "auto_cancel_running": False,
    "throttle": 0,
    "timeout": 0,
    "counter": 0,
    "synced": 0,
    "created": 0,
    "updated": 0,
    "version": 0,
    "signer": "",
    "secret": "",
}
OMITTED_WHERE_EMPTY: Final = frozenset(
    {"parent", "error", "title", "params", "cron", "deploy_to", "deploy_id", "stages", "signer", "secret"}
)
GO_ESCAPES: Final = str.maketrans({char: f"\\u{ord(char):04x}" for char in "<>&\u2028\u2029"})


@dataclass(frozen=True)
class SignedRequest:
    """What goes over the wire; the names of the headers as Go writes them."""

    headers: dict[str, str]
    body: bytes

    def asgi_headers(self) -> list[tuple[bytes, bytes]]:
        """Return the headers as an ASGI server hands them over: lower-case names, bytes."""
        return [(name.lower().encode(), value.encode("latin-1")) for name, value in self.headers.items()]


def runner_request(
    *,
    slug: str = "team-a/app",
    event: str = "push",
    ref: str = "refs/heads/main",
    source_repo: str = "",
    repo: Mapping[str, object] | None = None,
    build: Mapping[str, object] | None = None,
    secret: str = SECRET,
    date: float = NOW,
) -> SignedRequest:
    """Return a build's request; ``repo`` and ``build`` are more of Drone's fields by their JSON names."""
    more_build = {"id": 100, "number": 12, "event": event, "ref": ref, "source_repo": source_repo, **(build or {})}
    namespace, _, name = slug.partition("/")
    more_repo = {"id": 7, "uid": "42", "namespace": namespace, "name": name, "slug": slug, "timeout": 60}
    return sign(body_of(repo={**more_repo, **(repo or {})}, build=more_build), secret=secret, date=date)


def body_of(*, repo: Mapping[str, object], build: Mapping[str, object]) -> bytes:
    """Return the JSON that Go makes of a repository and a build with these fields and zero values elsewhere."""
    sent_repo = {**struct(REPO, repo), "build": struct(BUILD, {})}
    return go_json({"repo": sent_repo, "build": struct(BUILD, build)})


def struct(zero: Mapping[str, object], fields: Mapping[str, object]) -> dict[str, object]:
    """Return a Go struct as its JSON: in the order of its fields, the ``omitempty`` ones left out where empty."""
    filled = {**zero, **fields}
    return {name: value for name, value in filled.items() if value or name not in OMITTED_WHERE_EMPTY}


def go_json(value: object) -> bytes:
    """Return compact JSON with the escapes of Go's encoding/json."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).translate(GO_ESCAPES).encode()


def sign(
    body: bytes,
    *,
    secret: str = SECRET,
    date: float = NOW,
    changed: Mapping[str, str] | None = None,
    signed: tuple[str, ...] = SIGNED,
) -> SignedRequest:
    """Return a signed request; ``changed`` headers (by their Go names) are signed as they are given."""
    headers = {
        "User-Agent": "Go-http-client/1.1",
        "Content-Length": str(len(body)),
        "Accept": ACCEPT,
        "Accept-Encoding": "identity",
        "Content-Type": "application/json",
        "Date": formatdate(date, usegmt=True),
        "Digest": "SHA-256=" + b64(hashlib.sha256(body).digest()),
    } | dict(changed or {})
    return SignedRequest({**headers, "Signature": signature(headers, secret=secret, signed=signed)}, body)


def signature(
    headers: Mapping[str, str], *, secret: str = SECRET, signed: tuple[str, ...] = SIGNED, hash_name: str = "sha256"
) -> str:
    """Return the value of the Signature header over these headers."""
    value_of = {name.lower(): value for name, value in headers.items()}
    text = "\n".join(f"{name}: {value_of[name]}" for name in signed)
    mac = hmac.digest(secret.encode(), text.encode("latin-1"), hash_name)
    return f'keyId="hmac-key",algorithm="hmac-{hash_name}",signature="{b64(mac)}",headers="{" ".join(signed)}"'


def b64(data: bytes) -> str:
    """Return standard padded base64."""
    return base64.b64encode(data).decode()
