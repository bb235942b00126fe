"""Where the calls for each form of a registry's host go: the requests as botocore would send them.

The forms are those of AWS's tables of endpoints for ECR, ECR Public and STS.
"""

import json
from base64 import b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from time import time
from urllib.parse import urlsplit

import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.compat import HTTPHeaders
from support.accounts import minter
from support.identity import become

from ecrmint.errors import MintError, UnreachableError
from ecrmint.minters import Endpoints, Resources
from ecrmint.minters._aws.clients import Aws
from ecrmint.minters._hosts import parse_ecr
from ecrmint.minters._urls import Regional
from ecrmint.standin.cloud import AccessKey
from ecrmint.tokens import Secret

ACCOUNT = "123456789012"


@dataclass(frozen=True)
class Body:
    """What AWSResponse reads a body from."""

    content: bytes

    def stream(self) -> Iterator[bytes]:
        yield self.content


@dataclass
class Sent:
    """Takes every request, and gives the answer that a mint goes on with."""

    host: str
    asked: list[str] = field(default_factory=list)

    def send(self, request: AWSPreparedRequest, **_: object) -> AWSResponse:
        host = str(urlsplit(request.url).hostname)
        self.asked.append(host)
        return AWSResponse(request.url, 200, HTTPHeaders(), Body(self._body(request)))

    def _body(self, request: AWSPreparedRequest) -> bytes:
        target = request.headers.get("X-Amz-Target")
        if target is None:
            return self._session()
        data = {
            "authorizationToken": b64encode(b"AWS:p").decode(),
            "expiresAt": time() + 3600,
            "proxyEndpoint": f"https://{self.host}",
        }
        private = "AmazonEC2ContainerRegistry" in str(target)
        return json.dumps({"authorizationData": [data] if private else data}).encode()

    def _session(self) -> bytes:
        arn = role(self.host).replace(":iam:", ":sts:").replace(":role/", ":assumed-role/")
        return f"""
            <AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult>
              <Credentials>
                <AccessKeyId>ASIAXXXXXXXXXXXXXXXX</AccessKeyId><SecretAccessKey>x</SecretAccessKey>
                <SessionToken>y</SessionToken><Expiration>2030-01-01T00:00:00Z</Expiration>
              </Credentials>
              <AssumedRoleUser><Arn>{arn}/ecrmint-prod</Arn><AssumedRoleId>A:x</AssumedRoleId></AssumedRoleUser>
            </AssumeRoleResult></AssumeRoleResponse>""".strip().encode()


def role(host: str) -> str:
    partition = parse_ecr(host).partition if host.startswith(ACCOUNT) else "aws"
    return f"arn:{partition}:iam::{ACCOUNT}:role/pull"


@pytest.fixture(autouse=True)
def _identity(monkeypatch: pytest.MonkeyPatch) -> None:
    become(monkeypatch, AccessKey("AKIAXXXXXXXXXXXXXXXX", Secret("x" * 40), "arn:aws:iam::1:user/a", ""))


def asked(host: str, endpoints: Endpoints | None = None) -> list[str]:
    """Return the hosts that a mint with a role asks, in order."""
    sent = Sent(host)
    kind = "ecr" if host.startswith(ACCOUNT) else "ecr-public"
    fields: Mapping[str, object] = {"type": kind, "registries": (host,), "role_arn": role(host)}
    minter(fields, Resources(endpoints=endpoints or Endpoints(), aws=Aws(send=sent.send))).mint()
    return sent.asked


FORMS = {
    f"{ACCOUNT}.dkr.ecr.eu-west-1.amazonaws.com": ("sts.eu-west-1.amazonaws.com", "api.ecr.eu-west-1.amazonaws.com"),
    f"{ACCOUNT}.dkr.ecr-fips.us-east-1.amazonaws.com": (
        "sts-fips.us-east-1.amazonaws.com",
        "api.ecr-fips.us-east-1.amazonaws.com",
    ),
    f"{ACCOUNT}.dkr-ecr.eu-west-1.on.aws": ("sts.eu-west-1.api.aws", "ecr.eu-west-1.api.aws"),
    f"{ACCOUNT}.dkr-ecr-fips.us-east-1.on.aws": ("sts-fips.us-east-1.api.aws", "ecr-fips.us-east-1.api.aws"),
    f"{ACCOUNT}.dkr.ecr.us-gov-west-1.amazonaws.com": (
        "sts.us-gov-west-1.amazonaws.com",
        "api.ecr.us-gov-west-1.amazonaws.com",
    ),
    f"{ACCOUNT}.dkr.ecr-fips.us-gov-west-1.amazonaws.com": (
        "sts.us-gov-west-1.amazonaws.com",
        "api.ecr-fips.us-gov-west-1.amazonaws.com",
    ),
    f"{ACCOUNT}.dkr.ecr.cn-north-1.amazonaws.com.cn": (
        "sts.cn-north-1.amazonaws.com.cn",
        "api.ecr.cn-north-1.amazonaws.com.cn",
    ),
    f"{ACCOUNT}.dkr-ecr.cn-north-1.on.amazonwebservices.com.cn": (
        "sts.cn-north-1.api.amazonwebservices.com.cn",
        "ecr.cn-north-1.api.amazonwebservices.com.cn",
    ),
    f"{ACCOUNT}.dkr.ecr.eusc-de-east-1.amazonaws.eu": (
        "sts.eusc-de-east-1.amazonaws.eu",
        "api.ecr.eusc-de-east-1.amazonaws.eu",
    ),
    f"{ACCOUNT}.dkr-ecr.eusc-de-east-1.on.amazonwebservices.eu": (
        "sts.eusc-de-east-1.api.amazonwebservices.eu",
        "ecr.eusc-de-east-1.api.amazonwebservices.eu",
    ),
    f"{ACCOUNT}.dkr.ecr.us-iso-east-1.c2s.ic.gov": ("sts.us-iso-east-1.c2s.ic.gov", "api.ecr.us-iso-east-1.c2s.ic.gov"),
    f"{ACCOUNT}.dkr.ecr.us-isob-east-1.sc2s.sgov.gov": (
        "sts.us-isob-east-1.sc2s.sgov.gov",
        "api.ecr.us-isob-east-1.sc2s.sgov.gov",
    ),
    f"{ACCOUNT}.dkr.ecr.eu-isoe-west-1.cloud.adc-e.uk": (
        "sts.eu-isoe-west-1.cloud.adc-e.uk",
        "api.ecr.eu-isoe-west-1.cloud.adc-e.uk",
    ),
    f"{ACCOUNT}.dkr.ecr.us-isof-south-1.csp.hci.ic.gov": (
        "sts.us-isof-south-1.csp.hci.ic.gov",
        "api.ecr.us-isof-south-1.csp.hci.ic.gov",
    ),
    "public.ecr.aws": ("sts.us-east-1.amazonaws.com", "api.ecr-public.us-east-1.amazonaws.com"),
    "ecr-public.aws.com": ("sts.us-east-1.api.aws", "ecr-public.us-east-1.api.aws"),
}


@pytest.mark.parametrize(("host", "expected"), FORMS.items(), ids=FORMS)
def test_the_form_of_a_registrys_host_is_that_of_the_apis(host: str, expected: tuple[str, str]) -> None:
    assert asked(host) == [*expected]


OTHER_FORMS = pytest.mark.parametrize(
    "host", [host for host in FORMS if "fips" in host or "dkr-ecr" in host or host == "ecr-public.aws.com"]
)


@OTHER_FORMS
def test_an_address_of_ones_own_is_asked_whatever_the_form(host: str) -> None:
    there = Regional("https://vpce.example")
    assert asked(host, Endpoints(sts=there, ecr=there, ecr_public=there)) == ["vpce.example"] * 2


@OTHER_FORMS
def test_a_variables_address_is_asked_whatever_the_form(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://vpce.example")
    assert asked(host) == ["vpce.example"] * 2


def test_the_variables_for_fips_and_dual_stack_count_where_the_host_says_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_USE_FIPS_ENDPOINT", "true")
    monkeypatch.setenv("AWS_USE_DUALSTACK_ENDPOINT", "true")
    host = f"{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com"
    assert asked(host) == ["sts-fips.us-east-1.api.aws", "ecr-fips.us-east-1.api.aws"]


@pytest.mark.parametrize("url", ["http://vpce.example", "http://10.0.0.1:8080", "http://127.0.0.1.evil.example"])
@pytest.mark.parametrize("variable", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL_ECR"])
def test_plain_http_goes_nowhere_but_near(url: str, variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # The network would be reached where it is not refused: the tests' fence ends the run then.
    monkeypatch.setenv(variable, url)
    host = f"{ACCOUNT}.dkr.ecr.eu-west-1.amazonaws.com"
    fields: Mapping[str, object] = {"type": "ecr", "registries": (host,)}
    if variable != "AWS_ENDPOINT_URL_ECR":
        fields = {**fields, "role_arn": role(host)}
    with pytest.raises(MintError) as caught:
        minter(fields).mint()
    assert type(caught.value) is UnreachableError
    assert "plain http" in str(caught.value)
    assert "AWS_ENDPOINT_URL" in caught.value.hint
