"""Signature checking against what AWS published: the IAM User Guide's example, and its test suite's plainest case."""

from dataclasses import replace

import pytest

from ecrmint.standin.sigv4 import SignedRequest, parse, verify

SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
HEADERS = {
    "content-type": "application/x-www-form-urlencoded; charset=utf-8",
    "host": "iam.amazonaws.com",
    "x-amz-date": "20150830T123600Z",
}
REQUEST = SignedRequest("GET", "/", "Action=ListUsers&Version=2010-05-08", HEADERS, b"")
SCOPE = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request"
SIGNATURE = "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"
AUTHORIZATION = parse(f"{SCOPE}, SignedHeaders=content-type;host;x-amz-date, Signature={SIGNATURE}")


def test_the_published_example_verifies() -> None:
    assert verify(REQUEST, AUTHORIZATION, SECRET)


def test_the_published_suites_plainest_case_verifies() -> None:
    request = SignedRequest("GET", "/", "", {"host": "example.amazonaws.com", "x-amz-date": "20150830T123600Z"}, b"")
    header = (
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
        "SignedHeaders=host;x-amz-date, "
        "Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"
    )
    assert verify(request, parse(header), SECRET)


def test_order_of_the_query_and_spaces_of_a_header_are_no_matter() -> None:
    spaced = {**HEADERS, "content-type": "  application/x-www-form-urlencoded;   charset=utf-8 "}
    assert verify(replace(REQUEST, query="Version=2010-05-08&Action=ListUsers", headers=spaced), AUTHORIZATION, SECRET)


@pytest.mark.parametrize(
    "request_",
    [
        replace(REQUEST, method="POST"),
        replace(REQUEST, path="/x"),
        replace(REQUEST, query="Action=ListUsers&Version=2010-05-09"),
        replace(REQUEST, query="Action=ListUsers&Version=2010-05-08&More"),
        replace(REQUEST, body=b"{}"),
        replace(REQUEST, headers={**HEADERS, "host": "sts.amazonaws.com"}),
        replace(REQUEST, headers={**HEADERS, "x-amz-date": "20150830T123601Z"}),
        replace(REQUEST, headers={**HEADERS, "x-amz-date": "20150831T123600Z"}),
        replace(REQUEST, headers={**HEADERS, "x-amz-security-token": "unsigned"}),
        replace(REQUEST, headers={"host": "iam.amazonaws.com", "x-amz-date": "20150830T123600Z"}),
    ],
    ids=["method", "path", "query", "more query", "body", "host", "second", "day", "token not signed", "header gone"],
)
def test_a_changed_request_does_not_verify(request_: SignedRequest) -> None:
    assert not verify(request_, AUTHORIZATION, SECRET)


def test_another_secret_scope_or_list_of_headers_does_not_verify() -> None:
    assert not verify(REQUEST, AUTHORIZATION, f"{SECRET}x")
    assert not verify(REQUEST, replace(AUTHORIZATION, region="us-east-2"), SECRET)
    assert not verify(REQUEST, replace(AUTHORIZATION, service="sts"), SECRET)
    assert not verify(REQUEST, replace(AUTHORIZATION, signed_headers=("host", "x-amz-date")), SECRET)
    assert not verify(REQUEST, replace(AUTHORIZATION, signed_headers=("content-type",)), SECRET)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Basic QVdTOng=",
        f"{SCOPE}, SignedHeaders=host",
        f"{SCOPE}, SignedHeaders=host, Signature=short",
        f"{SCOPE}, SignedHeaders=host, Signature={SIGNATURE}\n",
        f"AWS4-HMAC-SHA1 Credential=A/20150830/r/s/aws4_request, SignedHeaders=host, Signature={SIGNATURE}",
    ],
    ids=["empty", "basic", "no signature", "short signature", "line end", "other algorithm"],
)
def test_what_is_not_such_an_authorization_is_refused(header: str) -> None:
    with pytest.raises(ValueError, match="AWS4-HMAC-SHA256"):
        parse(header)
