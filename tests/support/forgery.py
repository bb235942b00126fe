"""Requests that look genuine but aren't, or not quite. The clock of all of them is ``support.runner.NOW``."""

import base64
import hashlib
import re
from collections.abc import Callable, Mapping
from typing import Final

from support import runner
from support.runner import SECRET, SIGNED, SignedRequest, b64, runner_request

GENUINE: Final = runner_request()
BODY: Final = GENUINE.body
DIGEST: Final = b64(hashlib.sha256(BODY).digest())
BASE64: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


def resigned(
    *, changed: Mapping[str, str] | None = None, signed: tuple[str, ...] = SIGNED, secret: str = SECRET
) -> SignedRequest:
    """Return a request whose signature holds for the headers as they were changed."""
    return runner.sign(BODY, changed=changed, signed=signed, secret=secret)


def with_signature(change: Callable[[str], str]) -> SignedRequest:
    """Return a genuine request with another text in its Signature."""
    return SignedRequest({**GENUINE.headers, "Signature": change(GENUINE.headers["Signature"])}, BODY)


def with_parameter(name: str, value: str) -> SignedRequest:
    return with_signature(lambda text: re.sub(f'{name}="[^"]*"', lambda _: f'{name}="{value}"', text))


def with_mac(change: Callable[[str], str]) -> SignedRequest:
    return with_parameter("signature", change(mac_of(GENUINE)))


def mac_of(request: SignedRequest) -> str:
    (mac,) = re.findall(r'signature="([^"]*)"', request.headers["Signature"])
    return str(mac)


def in_authorization(scheme: str) -> SignedRequest:
    headers = {**GENUINE.headers, "Authorization": scheme + GENUINE.headers["Signature"]}
    del headers["Signature"]
    return SignedRequest(headers, BODY)


def without(*names: str) -> SignedRequest:
    return SignedRequest({name: value for name, value in GENUINE.headers.items() if name not in names}, BODY)


def digest_case(value: str) -> SignedRequest:
    return resigned(changed={"Digest": value})


def date_case(value: str) -> SignedRequest:
    return resigned(changed={"Date": value})


def other_trailing_bits(text: str) -> str:
    """Return other base64 of the same bytes: the bits that padding leaves over are not zero."""
    changed = text[:-2] + BASE64[BASE64.index(text[-2]) + 1] + "="
    assert base64.b64decode(changed) == base64.b64decode(text)
    return changed


def without_parameter(name: str) -> SignedRequest:
    return with_signature(lambda text: re.sub(f',?{name}="[^"]*"', "", text).lstrip(","))


REFUSED_SIGNATURES = {
    "none": (without("Signature"), "missing"),
    "empty": (with_signature(lambda _: ""), "parameters"),
    **{
        f"{name} missing": (without_parameter(name), "parameters")
        for name in ("keyId", "algorithm", "headers", "signature")
    },
    "another keyId": (with_parameter("keyId", "other"), "key_id"),
    "keyId in another case": (with_parameter("keyId", "HMAC-KEY"), "key_id"),
    "keyId twice": (with_signature(lambda text: 'keyId="hmac-key",' + text), "parameters"),
    "keyId instead of another": (
        with_signature(lambda text: text.replace('algorithm="hmac-sha256"', 'keyId="hmac-key"')),
        "parameters",
    ),
    "bad then good signature": (with_signature(lambda text: 'signature="AAAA",' + text), "parameters"),
    "good then bad signature": (with_signature(lambda text: text + ',signature="AAAA"'), "parameters"),
    "junk before": (with_signature(lambda text: "junk " + text), "parameters"),
    "junk after": (with_signature(lambda text: text + " junk"), "parameters"),
    "junk between": (with_signature(lambda text: text.replace(",", ",junk,", 1)), "parameters"),
    "a comma before": (with_signature(lambda text: "," + text), "parameters"),
    "a comma after": (with_signature(lambda text: text + ","), "parameters"),
    "unquoted": (with_signature(lambda text: text.replace('"', "")), "parameters"),
    "one unquoted": (with_signature(lambda text: text.replace('"hmac-key"', "hmac-key")), "parameters"),
    "single quotes": (with_signature(lambda text: text.replace('"', "'")), "parameters"),
    "an escaped quote": (with_parameter("keyId", 'hmac-key\\"'), "parameters"),
    "created": (with_signature(lambda text: text + ',created="1"'), "parameters"),
    "created unquoted": (with_signature(lambda text: text + ",created=1"), "parameters"),
    "expires": (with_signature(lambda text: text + ",expires=9999999999"), "parameters"),
    "an unknown parameter": (with_signature(lambda text: text + ',opaque="x"'), "parameters"),
    "a prefixed name": (with_signature(lambda text: text.replace("signature=", "xsignature=")), "parameters"),
    "names in another case": (with_signature(lambda text: text.replace("keyId", "keyid")), "parameters"),
    "Bearer": (in_authorization("Bearer zzz "), "malformed"),
    "Bearer before Signature": (in_authorization("Bearer Signature "), "malformed"),
    "Basic": (SignedRequest({"Authorization": "Basic aGk6aGk="}, BODY), "malformed"),
    "no scheme": (in_authorization(""), "malformed"),
    "a scheme without a space": (in_authorization("Signature"), "malformed"),
    "the scheme in Signature": (with_signature(lambda text: "Signature " + text), "parameters"),
}
SIGNED_BUT_REFUSED = {
    "no names": (with_parameter("headers", ""), "headers"),
    "a space": (with_parameter("headers", " "), "headers"),
    "two spaces": (with_parameter("headers", "accept  accept-encoding content-type date digest"), "headers"),
    "a space before": (with_parameter("headers", " accept accept-encoding content-type date digest"), "headers"),
    "a space after": (with_parameter("headers", "accept accept-encoding content-type date digest "), "headers"),
    "a name twice": (resigned(signed=("date", "digest", "date")), "headers"),
    "only date": (resigned(signed=("date",)), "headers"),
    "no digest": (resigned(signed=("accept", "date")), "headers"),
    "no date": (resigned(signed=("accept", "digest")), "headers"),
    "a header that was not sent": (without("Content-Type"), "headers"),
    "names in upper case": (with_parameter("headers", "Date Digest"), "headers"),
    "(request-target)": (with_parameter("headers", "(request-target) date digest"), "headers"),
    "(created)": (with_parameter("headers", "(created) date digest"), "headers"),
    "(expires)": (with_parameter("headers", "date digest (expires)"), "headers"),
    "names joined by commas": (with_parameter("headers", "date,digest"), "headers"),
    "fewer names than were signed": (with_parameter("headers", "date digest"), "secret"),
    "the names in another order": (
        with_parameter("headers", "accept-encoding accept content-type date digest"),
        "secret",
    ),
    "a newline in a signed value": (
        resigned(changed={"X-Own": "1\ndate: x"}, signed=(*SIGNED, "x-own")),
        "malformed",
    ),
}
REFUSED_MACS = {
    "hmac-sha1": (
        SignedRequest(
            {**GENUINE.headers, "Signature": runner.signature(GENUINE.headers, hash_name="sha1")},
            BODY,
        ),
        "algorithm",
    ),
    "hs2019": (with_parameter("algorithm", "hs2019"), "algorithm"),
    "rsa-sha256": (with_parameter("algorithm", "rsa-sha256"), "algorithm"),
    "in upper case": (with_parameter("algorithm", "HMAC-SHA256"), "algorithm"),
    "algorithm none": (with_parameter("algorithm", "none"), "algorithm"),
    "algorithm empty": (with_parameter("algorithm", ""), "algorithm"),
    "empty": (with_mac(lambda _: ""), "secret"),
    "not base64": (with_mac(lambda _: "*" * 44), "parameters"),
    "truncated": (with_mac(lambda mac: mac[:20]), "secret"),
    "unpadded": (with_mac(lambda mac: mac.rstrip("=")), "secret"),
    "padded twice": (with_mac(lambda mac: mac + "="), "secret"),
    "padded thrice": (with_mac(lambda mac: mac + "=="), "parameters"),
    "other trailing bits": (with_mac(other_trailing_bits), "secret"),
    "white space inside": (with_mac(lambda mac: mac[:9] + " " + mac[9:]), "parameters"),
    "white space after": (with_mac(lambda mac: mac + " "), "parameters"),
    "a bit flipped": (with_mac(lambda mac: ("B" if mac[0] == "A" else "A") + mac[1:]), "secret"),
    "in hex": (with_mac(lambda mac: base64.b64decode(mac).hex()), "secret"),
    "an empty key": (resigned(secret=""), "secret"),
    "another secret": (resigned(secret="1" * 32), "secret"),
    "the secret and a newline": (resigned(secret=SECRET + "\n"), "secret"),
    "a part of the secret": (resigned(secret=SECRET[:-1]), "secret"),
}


REFUSED_DIGESTS = {
    "of another body": (digest_case("SHA-256=" + b64(hashlib.sha256(b"other").digest())), "digest"),
    "absent": (without("Digest"), "digest_missing"),
    "empty": (digest_case(""), "digest"),
    "MD5": (digest_case("MD5=" + b64(hashlib.md5(BODY).digest())), "digest"),  # noqa: S324  # it is to be refused
    "SHA": (digest_case("SHA=" + b64(hashlib.sha1(BODY).digest())), "digest"),  # noqa: S324  # it is to be refused
    "SHA-512": (digest_case("SHA-512=" + b64(hashlib.sha512(BODY).digest())), "digest"),
    "unpadded": (digest_case("SHA-256=" + DIGEST.rstrip("=")), "digest"),
    "padded twice": (digest_case(f"SHA-256={DIGEST}="), "digest"),
    "url-safe": (
        digest_case("SHA-256=" + base64.urlsafe_b64encode(hashlib.sha256(BODY).digest()).decode()),
        "digest",
    ),
    "other trailing bits": (digest_case("SHA-256=" + other_trailing_bits(DIGEST)), "digest"),
    "spaces": (digest_case(f"SHA-256= {DIGEST}"), "digest"),
    "a space before the equals sign": (digest_case(f"SHA-256 ={DIGEST}"), "digest"),
    "in hex": (digest_case("SHA-256=" + hashlib.sha256(BODY).hexdigest()), "digest"),
    "without a name": (digest_case(DIGEST), "digest"),
    "of RFC 9530": (digest_case(f"sha-256=:{DIGEST}:"), "digest"),
    "two values": (digest_case(f"SHA-256={DIGEST},SHA-256={DIGEST}"), "digest"),
    "a bad value first": (digest_case(f"SHA-256=AAAA, SHA-256={DIGEST}"), "digest"),
    "another algorithm beside it": (digest_case(f"SHA-256={DIGEST},MD5=AAAA"), "digest"),
    "outside of ASCII": (digest_case("SHA-256=é"), "digest"),
}


REFUSED_DATES = {
    "empty": (date_case(""), "date"),
    "unparsable": (date_case("not a date"), "date"),
    "1970": (date_case("Thu, 01 Jan 1970 00:00:00 GMT"), "stale"),
    "2100": (date_case("Fri, 01 Jan 2100 00:00:00 GMT"), "stale"),
    "ten minutes old": (resigned(changed={"Date": "Tue, 15 Nov 2022 08:02:31 GMT"}), "stale"),
    "ten minutes ahead": (resigned(changed={"Date": "Tue, 15 Nov 2022 08:22:31 GMT"}), "stale"),
    "RFC 850": (date_case("Tuesday, 15-Nov-22 08:12:31 GMT"), "date"),
    "asctime": (date_case("Tue Nov 15 08:12:31 2022"), "date"),
    "UTC": (date_case("Tue, 15 Nov 2022 08:12:31 UTC"), "date"),
    "+0000": (date_case("Tue, 15 Nov 2022 08:12:31 +0000"), "date"),
    "no zone": (date_case("Tue, 15 Nov 2022 08:12:31"), "date"),
    "gmt": (date_case("Tue, 15 Nov 2022 08:12:31 gmt"), "date"),
    "a month in lower case": (date_case("Tue, 15 nov 2022 08:12:31 GMT"), "date"),
    "an unknown month": (date_case("Tue, 15 Nox 2022 08:12:31 GMT"), "date"),
    "a day of one digit": (date_case("Tue, 1 Nov 2022 08:12:31 GMT"), "date"),
    "a year of two digits": (date_case("Tue, 15 Nov 22 08:12:31 GMT"), "date"),
    "the year 0022": (date_case("Tue, 15 Nov 0022 08:12:31 GMT"), "date"),
    "the year 0000": (date_case("Tue, 15 Nov 0000 08:12:31 GMT"), "date"),
    "the 30th of February": (date_case("Wed, 30 Feb 2022 08:12:31 GMT"), "date"),
    "the wrong weekday": (date_case("Mon, 15 Nov 2022 08:12:31 GMT"), "date"),
    "24:00:00": (date_case("Tue, 15 Nov 2022 24:00:00 GMT"), "date"),
    "second 60": (date_case("Tue, 15 Nov 2022 08:12:60 GMT"), "date"),
    "second 61": (date_case("Tue, 15 Nov 2022 08:12:61 GMT"), "date"),
    "two values": (date_case("Tue, 15 Nov 2022 08:12:31 GMT, Tue, 15 Nov 2022 08:12:31 GMT"), "date"),
    "outside of ASCII": (date_case("Tue, 15 Nov 2022 08:12:3\xb9 GMT"), "date"),
    "changed after signing": (
        SignedRequest({**GENUINE.headers, "Date": "Tue, 15 Nov 2022 08:12:32 GMT"}, BODY),
        "secret",
    ),
    "not sent": (without("Date"), "headers"),
}

REFUSED: Final[Mapping[str, tuple[SignedRequest, str]]] = {
    f"{group}: {name}": case
    for group, cases in {
        "signature": REFUSED_SIGNATURES,
        "headers": SIGNED_BUT_REFUSED,
        "mac": REFUSED_MACS,
        "digest": REFUSED_DIGESTS,
        "date": REFUSED_DATES,
    }.items()
    for name, case in cases.items()
}
"""Requests that are to be refused, all with the body of a genuine one, and the reason why."""
