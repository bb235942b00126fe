"""``credential_source`` of an ``external_account``: where the other identity provider's token is from.

Executables are refused: whoever may write the file could run what he likes with our identity, and so are addresses
that nobody has allowed. Source: google.aip.dev/auth/4117; IAM docs, "Configure Workload Identity Federation".
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final

from ecrmint.minters._google.aws_subject import AwsSubject
from ecrmint.minters._google.federation import Subject
from ecrmint.minters._google.json_fields import matched, object_of, text_of
from ecrmint.minters._google.subject_token import FileSubject, TokenFormat, UrlSubject
from ecrmint.minters._google.surroundings import Surroundings
from ecrmint.minters._urls import METADATA_HOSTS, check_url

_KINDS: Final = ("file", "url", "environment_id")
_AWS: Final = "aws1"
# Not the URL of AWS's call: nothing is ever sent there by us, and ours is made from the region alone.
_URLS: Final = ("url", "region_url", "imdsv2_session_token_url")
_NEAR: Final = re.compile(r"https?://(\[[0-9a-f:]+\]|[a-z0-9.]+)(?:/[!-~]*)?", re.ASCII)
_FIELD: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}", re.ASCII)
_HEADER: Final = re.compile(r"[A-Za-z0-9-]{1,64}", re.ASCII)


def parse_subject(source: Mapping[str, object], audience: str, around: Surroundings) -> Subject:
    """Return where the token is from. Raises: ValueError, with no part of a secret."""
    if "executable" in source:
        raise ValueError("credential_source.executable: no program is run for a token; use a file or a URL")
    urls, allowed = dict(_urls(source)), around.subject_token_urls
    for name, url in urls.items():
        _check_address(url, allowed, name=name)
    if allowed and not set(allowed) & set(urls.values()):
        raise ValueError("subject_token_urls: the credentials file has none of them, so these have no effect")
    if "environment_id" in source:  # its `url` is where google-auth would look for AWS's credentials
        return _aws_subject(source, audience, around)
    match [name for name in _KINDS if name in source]:
        case ["file"]:
            return FileSubject(text_of(source, "file"), _format(source))
        case ["url"]:
            return UrlSubject(text_of(source, "url"), _format(source), _headers(source))
    raise ValueError(f"credential_source: expected exactly one of {', '.join(_KINDS)}")


def check_subject_url(url: str) -> str:
    """Return an address that such tokens may be fetched from; it may have a query. Raises: ValueError."""
    base, _, query = url.partition("?")
    check_url(base)
    if not query.isprintable() or "#" in query:
        raise ValueError("expected a URL such as https://host.example/token")
    return url


def _urls(source: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    yield from ((name, text_of(source, name)) for name in _URLS if name in source)


def _check_address(url: str, allowed: tuple[str, ...], *, name: str) -> None:
    match = _NEAR.fullmatch(url)
    if url not in allowed and (match is None or match[1].strip("[]") not in METADATA_HOSTS):
        raise ValueError(f"credential_source.{name} is no metadata server's, nor one of `subject_token_urls`")


def _aws_subject(source: Mapping[str, object], audience: str, around: Surroundings) -> AwsSubject:
    if source["environment_id"] != _AWS:
        raise ValueError(f"credential_source.environment_id: expected {_AWS}")
    return AwsSubject(audience, around.aws_sts, around.aws)


def _format(source: Mapping[str, object]) -> TokenFormat:
    content = object_of(source, "format") if "format" in source else {"type": "text"}
    match content.get("type"):
        case "text":
            return TokenFormat()
        case "json":
            return TokenFormat(matched(content, "subject_token_field_name", _FIELD, form="the name of a field"))
    raise ValueError("credential_source.format.type: expected text or json")


def _headers(source: Mapping[str, object]) -> tuple[tuple[str, str], ...]:
    content = object_of(source, "headers") if "headers" in source else {}
    headers = tuple((name, value) for name, value in content.items() if isinstance(value, str))
    if len(headers) != len(content) or not all(_is_header(name, value) for name, value in headers):
        raise ValueError("credential_source.headers: expected names and values of HTTP headers")
    return headers


def _is_header(name: str, value: str) -> bool:
    return _HEADER.fullmatch(name) is not None and value.isascii() and value.isprintable()
