"""Other addresses of the clouds' APIs."""

import pytest
from pydantic import ValidationError

from ecrmint.minters import Endpoints
from ecrmint.minters._urls import Regional

VPCE = "https://vpce-1.sts.eu-west-1.vpce.amazonaws.com"


def endpoints(**fields: object) -> Endpoints:
    return Endpoints.model_validate(fields)


def complaint(**fields: object) -> str:
    with pytest.raises(ValidationError) as caught:
        endpoints(**fields)
    (detail,) = caught.value.errors(include_input=False)
    return f"{'.'.join(map(str, detail['loc']))}: {detail['msg'].removeprefix('Value error, ')}"


def test_nothing_is_elsewhere_by_default() -> None:
    made = Endpoints()
    assert (made.sts.at("eu-west-1"), made.ecr.at("eu-west-1")) == (None, None)
    assert (made.google_token, made.iamcredentials, made.metadata, made.registries) == (None, None, None, {})


def test_one_address_is_for_every_region() -> None:
    assert endpoints(ecr=VPCE).ecr.at("us-east-1") == VPCE


def test_an_address_for_a_region_is_for_that_region_alone() -> None:
    made = endpoints(sts={"eu-west-1": VPCE, "us-gov-west-1": "https://gov.example/"})
    assert made.sts == Regional(regions={"eu-west-1": VPCE, "us-gov-west-1": "https://gov.example"})
    assert (made.sts.at("eu-west-1"), made.sts.at("us-east-1")) == (VPCE, None)


@pytest.mark.parametrize(
    "url",
    [
        "https://host.example",
        "https://host.example:8443/a/path",
        "http://127.0.0.1:8080",
        "http://127.8.8.8",
        "http://localhost:1",
        "http://[::1]:8080",
        "http://169.254.169.254",
        "http://[fd00:ec2::254]",
        "http://metadata.google.internal",
    ],
)
def test_an_address_may_be_https_or_near(url: str) -> None:
    assert endpoints(metadata=url).metadata == url


@pytest.mark.parametrize(
    "url",
    [
        "http://host.example",
        "http://10.0.0.1",
        "http://169.254.169.253",
        "http://localhost.evil.example",
        "http://127.0.0.1.evil.example",
        "http://metadata.google.internal.evil.example",
    ],
)
def test_plain_http_to_anywhere_else_is_refused(url: str) -> None:
    text = "expected https: plain http goes to loopback or a metadata address only"
    assert complaint(metadata=url) == f"metadata: {text}"
    assert complaint(sts={"eu-west-1": url}) == f"sts: eu-west-1: {text}"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "host.example",
        "https://",
        "ftp://host.example",
        "https://host.example?a=b",
        "https://host.example#a",
        "https://host.example:x",
        "https://host.example/\n",
        "https://[::1",
    ],
)
def test_what_is_no_url_is_refused(url: str) -> None:
    assert complaint(google_token=url) == "google_token: expected a URL such as https://host.example/path"


@pytest.mark.parametrize("url", ["https://a:hunter2@host.example", "https://a:hunter2@host.example:x"])
def test_a_password_in_a_url_is_refused_and_not_repeated(url: str) -> None:
    text = "a user name or password in a URL is not allowed here"
    assert complaint(sts=url) == f"sts: {text}"
    assert complaint(registries={"gcr.io": url}) == f"registries.gcr.io: {text}"


@pytest.mark.parametrize("value", [7, {}, {"eu-west-1": 7}, ("https://host.example",), None])
def test_what_is_neither_url_nor_mapping_is_refused(value: object) -> None:
    assert complaint(ecr=value) == "ecr: expected a URL, or a mapping from region to URL"


@pytest.mark.parametrize("region", ["europe", "eu_west_1", "*", ""])
def test_a_key_that_is_no_region_is_refused(region: str) -> None:
    assert complaint(ecr={region: VPCE}) == "ecr: expected regions such as eu-west-1 as the keys"


def test_a_registrys_address_is_by_bare_host() -> None:
    assert endpoints(registries={"gcr.io": VPCE}).registries == {"gcr.io": VPCE}
    assert complaint(registries={"https://gcr.io": VPCE}).endswith("expected the bare host: gcr.io")


@pytest.mark.parametrize("name", ["google_iam", "elsewhere"])
def test_an_address_that_nothing_asks_is_refused(name: str) -> None:
    assert complaint(**{name: VPCE}) == f"{name}: Extra inputs are not permitted"
