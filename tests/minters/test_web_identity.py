"""What a web identity's token says of itself: read for a person, never believed."""

import json
from base64 import urlsafe_b64encode
from pathlib import Path

import pytest

from ecrmint.errors import WebIdentity
from ecrmint.minters._aws.web_identity import read_claims

CLAIMS = {"iss": "https://oidc.example", "sub": "system:serviceaccount:ci:ecrmint", "aud": "sts.amazonaws.com"}


def token(payload: bytes) -> str:
    return f"eyJhbGciOiJSUzI1NiJ9.{urlsafe_b64encode(payload).decode().rstrip('=')}.c2lnbmF0dXJl"


@pytest.mark.parametrize("audience", ["sts.amazonaws.com", ["sts.amazonaws.com", "other"]], ids=["one", "several"])
def test_the_claims_of_a_token_are_read(tmp_path: Path, audience: object) -> None:
    file = tmp_path / "token"
    file.write_text(token(json.dumps({**CLAIMS, "aud": audience}).encode()) + "\n")
    expected = WebIdentity("https://oidc.example", "system:serviceaccount:ci:ecrmint", "sts.amazonaws.com")
    assert read_claims(str(file)) == expected


NOBODY = {
    "empty": "",
    "no dots": "no-dots",
    "too many": "a.b.c.d",
    "no base64": "a.!!!.c",
    "no json": token(b"no json"),
    "no utf-8": token(b"\xff"),
    "a list": token(b"[]"),
    "nothing": token(b"{}"),
    "for nobody": token(json.dumps({**CLAIMS, "aud": []}).encode()),
    "for a number": token(json.dumps({**CLAIMS, "aud": 1}).encode()),
    "deep": token(b"[" * 10_000),
}


@pytest.mark.parametrize("text", NOBODY.values(), ids=NOBODY.keys())
def test_what_says_nothing_is_nobody(tmp_path: Path, text: str) -> None:
    file = tmp_path / "token"
    file.write_text(text)
    assert read_claims(str(file)) is None


def test_a_file_that_is_not_there_is_nobody(tmp_path: Path) -> None:
    assert read_claims(str(tmp_path / "missing")) is None
