"""What is refused by a request's form alone, before its body is read and its signature looked at.

Pure: header fields in, a length or a refusal out. The order of the checks is that of design section 3. HTTP's own
syntax is the parser's; the bounds on header bytes and on time are protocol.py's.
"""

from collections.abc import Mapping
from typing import Final

from ecrmint import signature, wire
from ecrmint.errors import FrontDoorError
from ecrmint.signature import Fields, Headers

_LONGEST_LENGTH: Final = 20  # digits of a Content-Length


def check(headers: Headers, *, max_body: int) -> tuple[Fields, int]:
    """Return ASGI's header fields by name, and the body's length in bytes. Raises: RefusalError."""
    fields = dict(headers)
    length = _length(fields, max_body)
    if b"content-encoding" in fields:
        # Never inflated: a kilobyte of gzip can hold a gigabyte.
        raise FrontDoorError("content_encoding", "the body must not be compressed")
    content_type = fields.get(b"content-type", b"")
    if content_type != b"application/json" and content_type.partition(b";")[0].strip().lower() != b"application/json":
        raise FrontDoorError("content_type", "the body must be application/json")
    if b"upgrade" in fields:
        # The parser stops reading at an upgrade, so the body of such a request is silently lost.
        raise FrontDoorError("upgrade", "no other protocol is spoken here")
    unambiguous = signature.unambiguous(headers)
    wire.check_accept(fields.get(b"accept", b"").decode("latin-1"))
    return unambiguous, length


def _length(fields: Mapping[bytes, bytes], max_body: int) -> int:
    # A coding beside a length is how requests are smuggled, and trailers would join the headers (RFC 9112, 6.1).
    if b"transfer-encoding" in fields:
        raise FrontDoorError("transfer_coding", "a Content-Length is needed, and no Transfer-Encoding")
    text = fields.get(b"content-length")
    if text is None or not text.isdigit():
        raise FrontDoorError("length", "a Content-Length is needed")
    # Compared by digits first: int() of a very long text is slow, and refused past 4,300 digits.
    if len(text) > _LONGEST_LENGTH or int(text) > max_body:
        raise FrontDoorError("too_large", f"the body must not be larger than {max_body} bytes")
    return int(text)


def asks_encryption(fields: Fields) -> bool:
    """Return whether the caller asks for an answer in Drone's ``aesgcm`` form (drone-go plugin/internal/aesgcm)."""
    accepted = fields.get(b"accept-encoding", b"")
    return b"aesgcm" in [coding.strip() for coding in accepted.split(b",")]
