"""What is refused by a request's form alone, before its body is read and its signature looked at.

Pure: header fields in, a length or a refusal out. The order of the checks is that of design section 3. HTTP's own syntax is
the parser's; the bounds on header bytes and on time are the protocol's (server.py).
"""

from collections.abc import Mapping, Sequence
from typing import Final

from ecrmint import wire
from ecrmint.errors import FrontDoorError

Headers = Sequence[tuple[bytes, bytes]]

# Two of them, and one program checks the first where another acts on the second.
_SINGLE: Final = frozenset(
    (b"accept", b"accept-encoding", b"authorization", b"content-length", b"content-type", b"date", b"digest", b"host")
) | {b"signature"}


def check(headers: Headers, *, max_body: int) -> int:
    """Return the body's length in bytes, from ASGI header fields (lower-case names). Raises: FrontDoorError."""
    fields = dict(headers)
    length = _length(fields, max_body)
    if b"content-encoding" in fields:
        # Never inflated: a kilobyte of gzip can hold a gigabyte.
        raise FrontDoorError("content_encoding", "the body must not be compressed")
    if fields.get(b"content-type", b"").partition(b";")[0].strip().lower() != b"application/json":
        raise FrontDoorError("content_type", "the body must be application/json")
    if b"upgrade" in fields:
        # The parser stops reading at an upgrade, so the body of such a request is silently lost.
        raise FrontDoorError("upgrade", "no other protocol is spoken here")
    if len(fields) != len(headers):
        _check_repeated(headers, fields)
    if b"signature" in fields and b"authorization" in fields:
        raise FrontDoorError("duplicate", "Signature and Authorization are both present")
    _check_accept(fields.get(b"accept", b"*/*"))
    return length


def _length(fields: Mapping[bytes, bytes], max_body: int) -> int:
    # A transfer coding beside a length is how requests are smuggled, and trailers would join the headers (RFC 9112, 6.1).
    if b"transfer-encoding" in fields:
        raise FrontDoorError("transfer_coding", "a Content-Length is needed, and no Transfer-Encoding")
    text = fields.get(b"content-length")
    if text is None or not text.isdigit():
        raise FrontDoorError("length", "a Content-Length is needed")
    # Compared by digits first: int() of a long enough text is slow, and refused past 4,300 digits.
    if len(text) > len(str(max_body)) + 20 or int(text) > max_body:
        raise FrontDoorError("too_large", f"the body must not be larger than {max_body} bytes")
    return int(text)


def _check_repeated(headers: Headers, fields: Mapping[bytes, bytes]) -> None:
    signed = _signed_names(fields)
    seen: set[bytes] = set()
    for name, _ in headers:
        if name in seen and (name in _SINGLE or name in signed):
            raise FrontDoorError("duplicate", "a header field that may be there once is repeated")
        seen.add(name)


def _signed_names(fields: Mapping[bytes, bytes]) -> list[bytes]:
    """Return every name that the signature's ``headers`` parameter may list; too many do no harm, one less does."""
    parameters = fields.get(b"signature", fields.get(b"authorization", b""))
    return parameters.lower().replace(b'"', b" ").split()


def _check_accept(accept: bytes) -> None:
    kinds = [kind.partition(";")[0].strip().lower() for kind in accept.decode("latin-1").split(",")]
    if wire.ACCEPT in kinds or "*/*" in kinds or "application/*" in kinds or "application/json" in kinds:
        return
    variables = [wire.VARIABLE_OF_KIND[kind] for kind in kinds if kind in wire.VARIABLE_OF_KIND]
    if variables:
        text = f"this is a registry extension: {variables[0]} should not point here, DRONE_REGISTRY_PLUGIN_ENDPOINT should"
        raise FrontDoorError("accept", text)
    raise FrontDoorError("accept", f"only {wire.ACCEPT} is answered here")


def asks_encryption(headers: Headers) -> bool:
    """Return whether the caller asks for an answer in Drone's ``aesgcm`` form (drone-go plugin/internal/aesgcm)."""
    for name, value in headers:
        if name == b"accept-encoding":
            return any(coding.strip() == b"aesgcm" for coding in value.split(b","))
    return False
