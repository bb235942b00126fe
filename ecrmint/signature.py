"""Who may ask: the signatures of Drone's requests, and the encryption of answers to them. Reads no body's JSON.

Pure: the clock and all randomness are arguments. The dialect is draft-cavage-http-signatures as drone-go v1.7.1 speaks
it (``plugin/internal/client/client.go``), with every check that its handler leaves out: the digest is the body's, the
date is fresh, digest and date are signed. Which check failed is for the log alone.
"""

import hashlib
import hmac
import re
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from email.utils import format_datetime, formatdate, parsedate_to_datetime
from functools import lru_cache
from typing import Final, Literal, NamedTuple, NewType, NoReturn

from ecrmint.errors import RequestError, SignatureError
from ecrmint.tokens import Secret

Headers = Sequence[tuple[bytes, bytes]]
"""A request's headers as ASGI has them: lower-case names, one pair for each line."""

Fields = NewType("Fields", Mapping[bytes, bytes])
"""A request's headers by their names, none that matters sent twice: what ``unambiguous`` returns."""

SignatureReason = Literal[
    "missing",  # no signature at all
    "malformed",  # not one `Signature` scheme, or a control character in a signed value
    "parameters",  # not exactly the four parameters, each once, as name="value"
    "key_id",
    "algorithm",
    "headers",  # the list of signed headers
    "digest_missing",
    "digest",  # not SHA-256, or not the body's
    "secret",  # made with none of the shared secrets
    "rewritten",  # as "secret", but it holds for the headers that a runner sends: a proxy changed one
    "date",  # not an IMF-fixdate
    "stale",  # outside of the freshness window, either way
]

ALGORITHM: Final = b"hmac-sha256"
KEY_ID: Final = b"hmac-key"
REQUIRED: Final = frozenset({b"date", b"digest"})
KEY_BYTES: Final = 32  # AES-256; drone-go takes the first 32 bytes of the secret (plugin/internal/aesgcm/aesgcm.go)
NONCE_BYTES: Final = 12

# What a runner always sends; a proxy on the way may not leave it so.
_SENT: Final[Mapping[bytes, bytes]] = {
    b"accept": b"application/vnd.drone.registry.v1+json",
    b"accept-encoding": b"identity",
    b"content-type": b"application/json",
}
_UNREPEATABLE: Final = frozenset(
    {b"date", b"digest", b"signature", b"authorization", b"content-type", b"content-length"}
)
_PARAMETER_NAMES: Final = frozenset({b"keyId", b"algorithm", b"signature", b"headers"})
_PARAMETER: Final = rb'([A-Za-z]+)="([^"\\\x00-\x1f\x7f-\xff]*)"'
# Four parameters, no more: with all four names among them, none is repeated, unknown or missing.
_PARAMETERS: Final = re.compile(b",".join([_PARAMETER] * len(_PARAMETER_NAMES)))
_MAC: Final = re.compile(rb'signature="([A-Za-z0-9+/]*={0,2})"')
_SCHEME: Final = re.compile(rb"signature +", re.IGNORECASE)
_DATE: Final = re.compile(rb"[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT")


@dataclass(frozen=True, slots=True)
class SharedSecret:
    """A secret that runners sign with, and its name in the configuration."""

    name: str
    key: Secret

    def __post_init__(self) -> None:
        if not self.key.reveal():
            raise ValueError("a shared secret is never empty: anybody could sign with it")


Lines = tuple[tuple[bytes, bytes], ...]
"""The lines of a signing string: a header's name, and what its line starts with."""


class _Signature(NamedTuple):
    lines: Lines
    mac: bytes  # base64, as it was sent


def unambiguous(headers: Headers) -> Fields:
    """Return the headers by name where none that matters is ambiguous. Raises: RequestError("duplicate").

    Parsers differ in which of two lines they take, and so do drone-go (the first) and draft-cavage (both).
    """
    fields = dict(headers)
    if b"signature" in fields and b"authorization" in fields:
        raise RequestError("duplicate", "both Signature and Authorization were sent; only one of them may be")
    if len(fields) != len(headers):
        _refuse_repeated([name for name, _ in headers], _UNREPEATABLE | _claimed(fields))
    return Fields(fields)


def verify(
    fields: Fields, body: bytes, *, secrets: Iterable[SharedSecret], now: float, freshness: float
) -> SharedSecret:
    """Return the secret that the request was signed with.

    ``now`` is in seconds since the epoch and ``freshness`` how far, in seconds, the date may be from it, both ways.
    Raises: SignatureError with a SignatureReason and a text for the log.
    """
    signature = _parse(fields)
    signed = _signing_string(fields, signature.lines)
    _check_digest(fields[b"digest"], body)
    secret = _signer(signed, signature.mac, secrets)
    if secret is None:
        _refuse_secret(fields, signature, secrets)
    # After the MAC: how far our clock is away is told to nobody but the holder of a secret.
    _check_date(fields[b"date"], now=now, freshness=freshness)
    return secret


def sign(
    *,
    secret: Secret,
    body: bytes,
    date: float,
    accept: str = _SENT[b"accept"].decode(),
    accept_encoding: str = _SENT[b"accept-encoding"].decode(),
    content_type: str = _SENT[b"content-type"].decode(),
) -> dict[str, str]:
    """Return the headers of a runner's request; ``date`` is in seconds since the epoch."""
    headers = {
        "Accept": accept,
        "Accept-Encoding": accept_encoding,
        "Content-Type": content_type,
        "Date": formatdate(int(date), usegmt=True),
        "Digest": f"SHA-256={_digest(body).decode()}",
    }
    fields = {name.lower().encode(): value.encode("latin-1") for name, value in headers.items()}
    names = b" ".join(fields).decode()
    mac = _mac(secret, _signing_string(fields, _lines(tuple(fields)))).decode()
    signature = f'keyId="{KEY_ID.decode()}",algorithm="{ALGORITHM.decode()}",signature="{mac}",headers="{names}"'
    return {**headers, "Signature": signature}


def can_encrypt(secret: Secret) -> bool:
    """Return whether the secret is long enough for answers that are encrypted with it."""
    return len(secret.reveal().encode()) >= KEY_BYTES


def encrypt(secret: Secret, plaintext: bytes, nonce: bytes) -> bytes:
    """Return the body of an ``aesgcm`` answer: nonce, ciphertext, tag.

    ``nonce`` is 12 bytes that were never used with this secret. Raises: ValueError for a secret that is too short.
    """
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return nonce + AESGCM(_encryption_key(secret)).encrypt(nonce, plaintext, None)


def decrypt(secret: Secret, data: bytes) -> bytes:
    """Return the plaintext of an ``aesgcm`` answer. Raises: ValueError for another secret or changed bytes."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    cipher = AESGCM(_encryption_key(secret))
    try:
        return cipher.decrypt(data[:NONCE_BYTES], data[NONCE_BYTES:], None)
    except (InvalidTag, ValueError):
        raise ValueError("it was not encrypted with this secret") from None


def _encryption_key(secret: Secret) -> bytes:
    key = secret.reveal().encode()
    if len(key) < KEY_BYTES:
        raise ValueError(f"encryption needs a secret of at least {KEY_BYTES} bytes")
    return key[:KEY_BYTES]


def _refuse(reason: SignatureReason, text: str) -> NoReturn:
    raise SignatureError(reason, text)


def _claimed(fields: Mapping[bytes, bytes]) -> frozenset[bytes]:
    try:
        return frozenset(name for name, _ in _parse(fields).lines)
    except SignatureError:
        return frozenset()  # nothing is signed; verify says so in its turn


def _refuse_repeated(names: list[bytes], unrepeatable: frozenset[bytes]) -> None:
    for name in sorted(unrepeatable):
        if names.count(name) > 1:
            raise RequestError("duplicate", f"the header {name.decode('latin-1')} was sent more than once")


def _parse(fields: Mapping[bytes, bytes]) -> _Signature:
    text = _raw_signature(fields)
    mac = _MAC.search(text)
    if mac is None:
        _refuse("parameters", "no parameter is a signature in base64")
    # Without the MAC all requests of all runners have the same parameters: those are checked once.
    return _Signature(_parse_others(text[: mac.start(1)] + text[mac.end(1) :]), mac[1])


@lru_cache(maxsize=16)
def _parse_others(text: bytes) -> Lines:
    """Check the parameters, where ``signature`` is left empty, and return the lines that are signed."""
    match = _PARAMETERS.fullmatch(text)
    pairs = match.groups() if match else ()
    parameters = dict(zip(pairs[::2], pairs[1::2], strict=True))
    if parameters.keys() != _PARAMETER_NAMES:
        _refuse("parameters", 'expected keyId, algorithm, signature and headers, each once, as name="value"')
    if parameters[b"keyId"] != KEY_ID:
        _refuse("key_id", f"the keyId is not {KEY_ID.decode()}")
    if parameters[b"algorithm"] != ALGORITHM:
        _refuse("algorithm", f"the algorithm is not {ALGORITHM.decode()}")
    return _lines(parameters[b"headers"].split(b" "))


def _raw_signature(fields: Mapping[bytes, bytes]) -> bytes:
    if b"signature" in fields:
        return fields[b"signature"].strip(b" \t")
    if b"authorization" not in fields:
        _refuse("missing", "neither Signature nor Authorization was sent")
    value = fields[b"authorization"].strip(b" \t")
    scheme = _SCHEME.match(value)
    if scheme is None:
        _refuse("malformed", "the scheme of Authorization is not Signature")
    return value[scheme.end() :]


def _lines(names: Sequence[bytes]) -> Lines:
    if len(set(names)) != len(names) or b"" in names:
        _refuse("headers", "the list of signed headers has an empty or a repeated name")
    if not REQUIRED.issubset(names):
        _refuse("headers", "date and digest are not both among the signed headers")
    return tuple((name, name + b": ") for name in names)


def _signing_string(fields: Mapping[bytes, bytes], lines: Lines) -> bytes:
    """Return draft-cavage's signing string (section 2.3): ``name: value`` lines, no newline after the last."""
    try:
        # httptools, unlike h11, leaves the white space at the end of a value.
        text = b"\n".join([start + fields[name].strip(b" \t") for name, start in lines])
    except KeyError:
        _refuse_absent({name for name, _ in lines} - fields.keys())
    if text.count(b"\n") != len(lines) - 1:
        # No HTTP parser lets a newline through; were there one, two sets of headers would have one signing string.
        _refuse("malformed", "a signed header holds a newline")
    return text


def _refuse_absent(names: set[bytes]) -> NoReturn:
    if b"digest" in names:
        _refuse("digest_missing", "no Digest was sent")
    known = " and ".join(name.decode() for name in sorted(names & _SENT.keys()))
    if known:
        _refuse("headers", f"{known} is signed but was not sent: a proxy must not remove what the runner sends")
    _refuse("headers", "a header that is signed was not sent")


def _digest(body: bytes) -> bytes:
    return b64encode(hashlib.sha256(body).digest())


def _check_digest(value: bytes, body: bytes) -> None:
    algorithm, _, sent = value.strip(b" \t").partition(b"=")
    if algorithm.lower() != b"sha-256":
        _refuse("digest", "the Digest is not one SHA-256")
    # The texts are compared: that refuses every other base64 of the same bytes too.
    if not hmac.compare_digest(sent, _digest(body)):
        _refuse("digest", "the Digest is not that of the body")


def _mac(secret: Secret, signed: bytes) -> bytes:
    return b64encode(hmac.digest(secret.reveal().encode(), signed, "sha256"))


def _signer(signed: bytes, mac: bytes, secrets: Iterable[SharedSecret]) -> SharedSecret | None:
    """Return the first secret that made this MAC, after a look at every one: the time says nothing about which."""
    found = None
    for secret in secrets:
        if hmac.compare_digest(mac, _mac(secret.key, signed)):
            found = found or secret
    return found


def _refuse_secret(fields: Mapping[bytes, bytes], signature: _Signature, secrets: Iterable[SharedSecret]) -> NoReturn:
    if _signer(_signing_string({**fields, **_SENT}, signature.lines), signature.mac, secrets):
        names = [name for name, _ in signature.lines if name in _SENT and fields[name].strip(b" \t") != _SENT[name]]
        text = b" and ".join(names).decode()
        _refuse("rewritten", f"a proxy rewrote {text}, which the runner signs: it has to pass on what it gets")
    _refuse("secret", "signed with none of the shared secrets")


def _check_date(value: bytes, *, now: float, freshness: float) -> None:
    date = _epoch_seconds(value.strip(b" \t"))
    if date is None:
        _refuse("date", "the Date is not an IMF-fixdate such as Tue, 15 Nov 2022 08:12:31 GMT")
    ahead = date - now
    if abs(ahead) > freshness:
        side = "ahead of" if ahead > 0 else "behind"
        _refuse("stale", f"the Date is {abs(ahead):.0f} s {side} our clock, more than the {freshness:.0f} s allowed")


@lru_cache(maxsize=64)  # requests of one second share their Date
def _epoch_seconds(value: bytes) -> float | None:
    """Return the seconds of an IMF-fixdate (RFC 9110, section 5.6.7), None for anything else."""
    if not _DATE.fullmatch(value):
        return None
    text = value.decode("ascii")
    try:
        moment = parsedate_to_datetime(text)
        # Written again and compared: that refuses a wrong weekday, a 30th of February and a 24:00:00.
        return moment.timestamp() if format_datetime(moment, usegmt=True) == text else None
    except ValueError:
        return None
