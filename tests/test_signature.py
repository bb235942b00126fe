"""The verifier against Drone's own vectors, and against everything that looks like a signature but isn't one."""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import runner
from support.forgery import BODY, GENUINE, REFUSED, in_authorization, resigned, with_signature, without
from support.runner import NOW, SECRET, SIGNED, SignedRequest, runner_request

from ecrmint.errors import RequestError, SignatureError
from ecrmint.signature import (
    SharedSecret,
    can_encrypt,
    decrypt,
    encrypt,
    sign,
    unambiguous,
    verify,
)
from ecrmint.tokens import Secret

DATES = {"V1": 1_668_499_951, "V2": 1_704_067_200, "V3": 1_709_251_199, "V4": 1_668_499_951}
FRESHNESS = 300.0
MAIN, OLD = SharedSecret("main", Secret(SECRET)), SharedSecret("old", Secret("0" * 32))

Headers = list[tuple[bytes, bytes]]


@dataclass(frozen=True)
class Vector:
    """A request of drone-go's client, as it was recorded."""

    name: str
    secret: str
    headers: dict[str, str]
    body: str
    signing_string: str
    signature_header: str

    @property
    def date(self) -> int:
        return DATES[self.name[:2]]

    def all_headers(self) -> dict[str, str]:
        return {**self.headers, "signature": self.signature_header}


VECTORS = [Vector(**vector) for vector in json.loads((Path(__file__).parent / "vectors" / "drone.json").read_text())]


def check(
    request: SignedRequest | Headers,
    body: bytes = BODY,
    *,
    secrets: tuple[SharedSecret, ...] = (MAIN,),
    now: float = NOW,
) -> SharedSecret:
    headers = request if isinstance(request, list) else request.asgi_headers()
    return verify(unambiguous(headers), body, secrets=secrets, now=now, freshness=FRESHNESS)


def refusal(request: SignedRequest | Headers, body: bytes = BODY, *, now: float = NOW) -> str:
    with pytest.raises(SignatureError) as caught:
        check(request, body, now=now)
    return caught.value.reason


# Genuine requests


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector.name)
def test_a_request_of_drones_own_client_verifies(vector: Vector) -> None:
    headers = [(name.encode(), value.encode()) for name, value in vector.all_headers().items()]
    secret = SharedSecret("vector", Secret(vector.secret))
    assert check(headers, vector.body.encode(), secrets=(secret,), now=vector.date) is secret


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector.name)
def test_our_client_signs_as_drones_own(vector: Vector) -> None:
    headers = sign(secret=Secret(vector.secret), body=vector.body.encode(), date=vector.date + 0.9)
    assert {name.lower(): value for name, value in headers.items()} == vector.all_headers()


def test_the_runner_in_memory_writes_the_bytes_of_drones_own_client() -> None:
    repo = {"id": 7, "uid": "42", "namespace": "acme", "name": "web", "slug": "acme/web", "private": True}
    build = {"id": 100, "number": 12, "event": "push", "ref": "refs/heads/main", "target": "main", "after": "deadbeef"}
    body = runner.body_of(
        repo={**repo, "active": True, "timeout": 60, "secret": "s3cr3t-per-repo-key-32-bytes-long"},
        build={**build, "message": "fix <a> & b"},
    )
    assert [body, runner.sign(body).headers["Signature"]] == [
        VECTORS[3].body.encode(),
        VECTORS[3].signature_header,
    ]


ACCEPTED = {
    "Authorization": in_authorization("Signature "),
    "the scheme in another case": in_authorization("sIGNATURE "),
    "parameters in another order": with_signature(lambda text: ",".join(reversed(text.split(",")))),
    "only date and digest are signed": resigned(signed=("date", "digest")),
    "a header of its own is signed": resigned(changed={"X-Own": "yes"}, signed=(*SIGNED, "x-own")),
    "an empty header is signed": resigned(changed={"X-Own": ""}, signed=(*SIGNED, "x-own")),
    "another Accept-Encoding is signed": resigned(changed={"Accept-Encoding": "aesgcm"}),
    "the digest's name in lower case": resigned(
        changed={"Digest": GENUINE.headers["Digest"].replace("SHA-256", "sha-256")}
    ),
    "unsigned headers": SignedRequest({**GENUINE.headers, "X-Forwarded-For": "192.0.2.1"}, BODY),
    "white space around values": SignedRequest(
        {name: f" \t{value}\t " for name, value in GENUINE.headers.items()}, BODY
    ),
}


@pytest.mark.parametrize("request_", ACCEPTED.values(), ids=ACCEPTED.keys())
def test_a_genuine_request_verifies(request_: SignedRequest) -> None:
    assert check(request_) is MAIN


@pytest.mark.parametrize("name", ["main", "old"])
def test_the_secret_that_signed_is_found_among_several(name: str) -> None:
    secrets = (OLD, MAIN)
    (signer,) = (secret for secret in secrets if secret.name == name)
    assert check(runner_request(secret=signer.key.reveal()), secrets=secrets) is signer


def test_of_two_secrets_with_one_value_the_first_is_found() -> None:
    first = SharedSecret("first", Secret(SECRET))
    assert check(GENUINE, secrets=(OLD, first, MAIN)) is first


def test_the_same_bytes_are_accepted_again_inside_the_window() -> None:
    assert [check(GENUINE, now=NOW + seconds) for seconds in (0, 0, 200)] == [MAIN, MAIN, MAIN]


def test_a_secret_outside_of_ascii_signs_as_its_utf_8() -> None:
    secret = SharedSecret("odd", Secret("größe-🚀"))
    assert check(runner_request(secret="größe-🚀"), secrets=(secret,)) is secret


@pytest.mark.parametrize(("request_", "reason"), REFUSED.values(), ids=REFUSED.keys())
def test_a_request_that_does_not_hold_is_refused(request_: SignedRequest, reason: str) -> None:
    assert refusal(request_) == reason


def test_a_changed_body_is_refused() -> None:
    assert refusal(GENUINE, BODY.replace(b"team-a", b"team-b")) == "digest"


def test_a_changed_body_with_its_own_digest_is_refused() -> None:
    other = runner_request(slug="team-b/app")
    headers = {**GENUINE.headers, "Digest": other.headers["Digest"]}
    assert refusal(SignedRequest(headers, other.body), other.body) == "secret"


def test_without_any_secret_everybody_is_refused() -> None:
    with pytest.raises(SignatureError):
        check(GENUINE, secrets=())


def test_an_empty_secret_is_no_secret() -> None:
    with pytest.raises(ValueError, match="never empty"):
        SharedSecret("empty", Secret(""))


@pytest.mark.parametrize("side", [-1, 1], ids=["behind", "ahead"])
@pytest.mark.parametrize(("seconds", "fresh"), [(299, True), (300, True), (300.1, False), (301, False)])
def test_the_date_may_be_as_far_away_as_freshness_says(side: int, seconds: float, fresh: bool) -> None:
    now = NOW + side * seconds
    if fresh:
        assert check(GENUINE, now=now) is MAIN
    else:
        assert refusal(GENUINE, now=now) == "stale"


def test_the_log_says_how_far_away_a_date_is() -> None:
    with pytest.raises(SignatureError) as caught:
        check(GENUINE, now=NOW + 431)
    assert str(caught.value) == "the Date is 431 s behind our clock, more than the 300 s allowed"


def test_the_age_of_a_forged_request_is_not_looked_at() -> None:
    assert refusal(runner_request(secret="f" * 32, date=0)) == "secret"


# What a proxy on the way does


def test_the_log_says_which_header_a_proxy_rewrote() -> None:
    headers = {**GENUINE.headers, "Accept-Encoding": "gzip", "Accept": "*/*"}
    with pytest.raises(SignatureError) as caught:
        check(SignedRequest(headers, BODY))
    text = "a proxy rewrote accept and accept-encoding, which the runner signs: it has to pass on what it gets"
    assert [caught.value.reason, str(caught.value)] == ["rewritten", text]


def test_the_log_says_which_header_a_proxy_took_away() -> None:
    with pytest.raises(SignatureError) as caught:
        check(without("Accept-Encoding"))
    text = "accept-encoding is signed but was not sent: a proxy must not remove what the runner sends"
    assert str(caught.value) == text


def test_a_forged_request_with_other_headers_is_not_a_proxys_doing() -> None:
    request = runner_request(secret="f" * 32)
    assert refusal(SignedRequest({**request.headers, "Accept-Encoding": "gzip"}, BODY)) == "secret"


# Duplicates

OTHER = {
    "date": b"Tue, 15 Nov 2022 08:12:32 GMT",
    "digest": b"SHA-256=AAAA",
    "signature": b'keyId="x"',
    "content-type": b"text/plain",
    "content-length": b"1",
    "accept": b"*/*",  # signed
    "accept-encoding": b"gzip",  # signed
}


@pytest.mark.parametrize("name", OTHER)
@pytest.mark.parametrize("place", ["before", "after", "same value"])
def test_a_header_that_matters_is_never_ambiguous(name: str, place: str) -> None:
    headers = GENUINE.asgi_headers()
    value = dict(headers)[name.encode()] if place == "same value" else OTHER[name]
    headers.insert(0 if place == "before" else len(headers), (name.encode(), value))
    with pytest.raises(RequestError) as caught:
        unambiguous(headers)
    assert [caught.value.reason, str(caught.value)] == ["duplicate", f"the header {name} was sent more than once"]
    with pytest.raises(RequestError):
        check(headers)


@pytest.mark.parametrize("value", [b"Signature keyId", b"Bearer x", GENUINE.headers["Signature"].encode()])
def test_signature_and_authorization_are_never_both_taken(value: bytes) -> None:
    with pytest.raises(RequestError) as caught:
        unambiguous([*GENUINE.asgi_headers(), (b"authorization", value)])
    assert caught.value.reason == "duplicate"


@pytest.mark.parametrize(
    "headers",
    [
        GENUINE.asgi_headers(),
        [*GENUINE.asgi_headers(), (b"x-forwarded-for", b"192.0.2.1"), (b"x-forwarded-for", b"192.0.2.2")],
        [(b"signature", b"nonsense"), (b"accept", b"*/*"), (b"accept", b"*/*")],
        [],
    ],
    ids=["none", "a header that is not signed", "a signature that names no header", "no headers"],
)
def test_headers_that_do_not_matter_may_be_repeated(headers: Headers) -> None:
    unambiguous(headers)


# Properties


@given(st.binary(max_size=300))
def test_no_signature_header_does_anything_but_be_refused(value: bytes) -> None:
    refusal([*without("Signature").asgi_headers(), (b"signature", value)])


PARAMETER_TEXT = st.lists(
    st.sampled_from(
        [
            'keyId="hmac-key"',
            'algorithm="hmac-sha256"',
            'signature="AAAA"',
            'headers="date digest"',
            ",",
            '"',
            " ",
            "=",
            "\\",
        ]
    ),
    max_size=12,
).map("".join)


@given(
    st.one_of(PARAMETER_TEXT, PARAMETER_TEXT.map("Signature ".__add__)), st.sampled_from(["signature", "authorization"])
)
def test_nothing_shaped_like_a_signature_does_anything_but_be_refused(value: str, name: str) -> None:
    refusal([*without("Signature").asgi_headers(), (name.encode(), value.encode())])


@given(st.dictionaries(st.sampled_from([name.encode() for name in SIGNED]), st.binary(max_size=60), min_size=1))
def test_no_other_value_of_a_signed_header_is_accepted(changed: dict[bytes, bytes]) -> None:
    headers = dict(GENUINE.asgi_headers())
    different = {name: value for name, value in changed.items() if value.strip(b" \t") != headers[name]}
    if different:
        refusal(list({**headers, **different}.items()))


@given(st.integers(min_value=0, max_value=8 * len(BODY) - 1))
def test_every_flipped_bit_of_the_body_is_refused(bit: int) -> None:
    assert refusal(GENUINE, flip(BODY, bit)) == "digest"


@pytest.mark.parametrize("name", ["signature", *SIGNED])
def test_every_flipped_bit_of_a_header_is_refused(name: str) -> None:
    headers = dict(GENUINE.asgi_headers())
    value = headers[name.encode()]
    # Of Digest the name alone may change its case: that is signed too, so that it is refused all the same.
    for bit in range(8 * len(value)):
        assert refusal(list({**headers, name.encode(): flip(value, bit)}.items())) != ""


def flip(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


@given(st.integers(min_value=0, max_value=253_402_300_799))
def test_every_second_until_the_year_10000_can_be_signed_and_verified(second: int) -> None:
    headers = {**sign(secret=MAIN.key, body=BODY, date=second)}
    assert check(SignedRequest(headers, BODY), now=second) is MAIN


# Encryption of answers (drone-go plugin/internal/aesgcm)


def test_an_encrypted_answer_is_a_nonce_and_aes_gcm() -> None:
    # AES-256-GCM of the published test case 14 of McGrew and Viega (key and nonce of zeros, one block of zeros).
    expected = "000000000000000000000000cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919"
    assert encrypt(Secret("\0" * 32), bytes(16), bytes(12)).hex() == expected


def test_an_encrypted_answer_is_decrypted_with_the_first_32_bytes_of_the_secret() -> None:
    data = encrypt(Secret(SECRET + "more"), b"[]", b"n" * 12)
    assert decrypt(Secret(SECRET), data) == b"[]"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"short",
        b"n" * 12,
        encrypt(Secret("0" * 32), b"[]", b"n" * 12),
        flip(encrypt(MAIN.key, b"[]", b"n" * 12), 99),
    ],
    ids=["empty", "short", "only a nonce", "another secret", "a flipped bit"],
)
def test_an_answer_that_is_not_ours_is_not_decrypted(data: bytes) -> None:
    with pytest.raises(ValueError, match="not encrypted with this secret"):
        decrypt(MAIN.key, data)


def test_a_short_secret_encrypts_nothing() -> None:
    assert [can_encrypt(Secret("x" * length)) for length in (31, 32)] == [False, True]
    assert can_encrypt(Secret("é" * 16))
    with pytest.raises(ValueError, match="at least 32 bytes"):
        encrypt(Secret("x" * 31), b"[]", bytes(12))
