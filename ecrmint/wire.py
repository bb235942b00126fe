"""What Drone says and what it is told: the JSON of requests and answers. Decides nothing, keeps only what rules use.

Pure. The fields are those of drone-go v1.7.1, ``drone/types.go``, and those of Drone's published documents where they
differ. A body also holds the repository's own secret key and perhaps build parameters: no text here quotes it.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal, NoReturn

from ecrmint.errors import RequestError
from ecrmint.tokens import Login

ACCEPT: Final = "application/vnd.drone.registry.v1+json"
MAX_SLUG: Final = 512  # bytes
MAX_TEXT: Final = 4096  # characters of any other field: each goes into the audit line

RequestReason = Literal[
    "json",  # not JSON, or JSON that two readers could read differently
    "repo",  # no repository object
    "build",  # no build object
    "slug",
    "field",  # another field that rules use is of the wrong type
    "accept",  # meant for another kind of extension
]

_VARIABLE: Final = "DRONE_REGISTRY_PLUGIN_ENDPOINT"
# The other kinds of extension, by what their clients accept (drone-go, plugin/*), and the variable for their address.
_OTHER_KINDS: Final[Mapping[str, str]] = {
    "application/vnd.drone.secret.v1+json": "DRONE_SECRET_PLUGIN_ENDPOINT",
    "application/vnd.drone.env.v1+json": "DRONE_ENV_PLUGIN_ENDPOINT",
    "application/vnd.drone.env.v2+json": "DRONE_ENV_PLUGIN_ENDPOINT",
    "application/vnd.drone.config.v1+json": "DRONE_YAML_ENDPOINT",
    "application/vnd.drone.convert.v1+json": "DRONE_CONVERT_PLUGIN_ENDPOINT",
    "application/vnd.drone.validate.v1+json": "DRONE_VALIDATE_PLUGIN_ENDPOINT",
    "application/vnd.drone.admission.v1+json": "DRONE_ADMISSION_PLUGIN_ENDPOINT",
    "application/vnd.drone.webhook.v1+json": "DRONE_WEBHOOK_ENDPOINT",
}
_ACCEPTABLE: Final = frozenset({ACCEPT, "application/json", "application/*", "*/*", ""})

_SEGMENT: Final = r"(?!\.\.?(?:/|\Z))[A-Za-z0-9._~-]+"
_SLUG: Final = re.compile(f"{_SEGMENT}(?:/{_SEGMENT})+")
_UNUSABLE: Final = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")  # a lone surrogate can't be written to any log
_INT64: Final = range(-(2**63), 2**63)

Fields = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class RegistryRequest:
    """What is kept of a request. ``timeout`` is in minutes; what was not sent is empty, False or 0, as in Go."""

    slug: str
    uid: str = ""
    event: str = ""
    ref: str = ""
    source_repo: str = ""
    deploy_to: str = ""
    trusted: bool = False
    private: bool = False
    timeout: int = 0
    build: int = 0


def decode(body: bytes) -> RegistryRequest:
    """Return the request in a body whose signature holds. Raises: RequestError with a RequestReason."""
    document = _parse(body)
    repo = _object(document, "repo")
    build = _object(document, "build")
    return RegistryRequest(
        slug=_slug(repo),
        uid=_uid(repo),
        event=_text(build, "build", "event"),
        ref=_text(build, "build", "ref"),
        source_repo=_text(build, "build", "source_repo"),
        deploy_to=_text(build, "build", "deploy_to"),
        trusted=_flag(repo, "repo", "trusted"),
        private=_flag(repo, "repo", "private"),
        timeout=_number(repo, "repo", "timeout"),
        build=_number(build, "build", "number"),
    )


def encode(entries: Iterable[tuple[str, Login]]) -> bytes:
    """Return the answer: a list of ``{address, username, password}``, the three fields that runners use."""
    return _json(
        [
            {"address": address, "username": login.username, "password": login.password.reveal()}
            for address, login in entries
        ]
    )


def encode_request(request: RegistryRequest) -> bytes:
    """Return a body that asks for this, in the order of drone-go's fields.

    As drone-cli does, namespace and name are left empty for nested slugs.
    """
    namespace, _, name = request.slug.partition("/") if request.slug.count("/") == 1 else ("", "", "")
    repo = {
        "uid": request.uid,
        "namespace": namespace,
        "name": name,
        "slug": request.slug,
        "private": request.private,
        "trusted": request.trusted,
        "timeout": request.timeout,
    }
    build = {
        "number": request.build,
        "event": request.event,
        "ref": request.ref,
        "source_repo": request.source_repo,
        "deploy_to": request.deploy_to,
    }
    return _json({"repo": repo, "build": build})


def check_accept(accept: str) -> None:
    """Pass where this Accept (empty: none was sent) admits our answer. Raises: RequestError("accept")."""
    if accept == ACCEPT:
        return
    kinds = {part.partition(";")[0].strip().lower() for part in accept.split(",")}
    if kinds.isdisjoint(_ACCEPTABLE):
        wrong = sorted(variable for kind, variable in _OTHER_KINDS.items() if kind in kinds)
        found = f", not {wrong[0]}" if wrong else ""
        _refuse("accept", f"this is a registry extension: {_VARIABLE} should point here{found}")


def _json(value: object) -> bytes:
    return _ENCODER.encode(value).encode()


def _refuse(reason: RequestReason, text: str) -> NoReturn:
    raise RequestError(reason, text)


def _parse(body: bytes) -> Fields:
    try:
        # Decoded here because json.loads would also take UTF-16 and UTF-32, with or without a byte order mark.
        document = _DECODER.decode(body.decode("utf-8"))
    except RecursionError:
        text = "the body is nested too deeply"
    except ValueError:
        text = "the body is not JSON in UTF-8, or an object in it has a key twice"
    else:
        if type(document) is dict:
            return document
        text = "the body is not a JSON object"
    # Raised out here: an error of json that stayed on as its context would carry the whole body along.
    _refuse("json", text)


def _unique(pairs: list[tuple[str, object]]) -> Fields:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key twice: readers differ in which one they take")
    return found


def _no_constant(_: str) -> NoReturn:
    raise ValueError("NaN and Infinity are not JSON")


_ENCODER: Final = json.JSONEncoder(separators=(",", ":"))
_DECODER: Final = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_constant)


def _object(document: Fields, name: Literal["repo", "build"]) -> Fields:
    value = document.get(name)
    if type(value) is not dict:
        _refuse(name, f"{name} is missing or not an object")
    return value


def _text(fields: Fields, place: str, name: str) -> str:
    value = fields.get(name)
    if value is None:  # absent, or null, which Go takes for the same
        return ""
    if type(value) is not str:
        _refuse("field", f"{place}.{name} is not a text")
    if not (value.isascii() and value.isprintable()) and _UNUSABLE.search(value):
        _refuse("field", f"{place}.{name} holds a control character or half a character")
    if len(value) > MAX_TEXT:
        _refuse("field", f"{place}.{name} is longer than {MAX_TEXT} characters")
    return value


def _flag(fields: Fields, place: str, name: str) -> bool:
    value = fields.get(name)
    if value is None or value is False:
        return False
    if value is not True:
        _refuse("field", f"{place}.{name} is neither true nor false")
    return True


def _number(fields: Fields, place: str, name: str) -> int:
    value = fields.get(name)
    if value is None:
        return 0
    if type(value) is not int or value not in _INT64:
        _refuse("field", f"{place}.{name} is not a whole number of 64 bits")
    return value


def _uid(repo: Fields) -> str:
    """Return Drone's text, or the digits of the whole number that its published documents have instead."""
    if type(repo.get("uid")) is int:
        return str(_number(repo, "repo", "uid"))
    return _text(repo, "repo", "uid")


def _slug(repo: Fields) -> str:
    slug, namespace, name = _text(repo, "repo", "slug"), _text(repo, "repo", "namespace"), _text(repo, "repo", "name")
    if not slug:
        _refuse("slug", "repo.slug is missing or empty: name a repository, as in --repo octocat/hello-world")
    if len(slug) > MAX_SLUG or not _SLUG.fullmatch(slug):
        _refuse("slug", "repo.slug is not two or more segments of A-Z a-z 0-9 . _ ~ -, joined by /")
    if (namespace or name) and not _agree(slug, namespace=namespace, name=name):
        _refuse("slug", "repo.slug, repo.namespace and repo.name do not agree")
    return slug


def _agree(slug: str, *, namespace: str, name: str) -> bool:
    # As rules compare slugs: by ASCII letters in any case. Bytes, because str.lower maps other letters onto ASCII too.
    whole, start, end = (text.encode().lower() for text in (slug, f"{namespace}/", f"/{name}"))
    if namespace and name:
        return whole == start + end[1:]
    return whole.startswith(start) if namespace else whole.endswith(end)
