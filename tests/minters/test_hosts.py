"""Which hosts are a registry's, in every form that its cloud has, and never one that only looks like it."""

import json
import re
from importlib.util import find_spec
from pathlib import Path

import pytest
from support.accounts import account, complaint

from ecrmint.minters._hosts import PARTITIONS, EcrHost, check_bare, parse_ecr

ACCOUNT = "123456789012"
ECR = "expected a private ECR registry"
BARE = "expected a bare host such as registry.example.com or registry.example.com:5000"


def region_patterns() -> dict[str, tuple[str, list[str]]]:
    """Return DNS suffix and regions of each partition, from botocore's own data."""
    spec = find_spec("botocore")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    file = Path(spec.submodule_search_locations[0]) / "data" / "partitions.json"
    partitions = json.loads(file.read_text(encoding="utf-8"))["partitions"]
    return {each["id"]: (each["outputs"]["dnsSuffix"], list(each["regions"])) for each in partitions}


@pytest.mark.parametrize(
    ("rest", "expected"),
    [
        ("dkr.ecr.eu-west-1.amazonaws.com", ("eu-west-1", "aws", False, False)),
        ("dkr.ecr.ap-southeast-12.amazonaws.com", ("ap-southeast-12", "aws", False, False)),
        ("dkr.ecr-fips.us-east-1.amazonaws.com", ("us-east-1", "aws", True, False)),
        ("dkr-ecr.eu-west-1.on.aws", ("eu-west-1", "aws", False, True)),
        ("dkr-ecr-fips.us-east-1.on.aws", ("us-east-1", "aws", True, True)),
        ("dkr.ecr.us-gov-west-1.amazonaws.com", ("us-gov-west-1", "aws-us-gov", False, False)),
        ("dkr.ecr-fips.us-gov-west-1.amazonaws.com", ("us-gov-west-1", "aws-us-gov", True, False)),
        ("dkr-ecr.us-gov-east-1.on.aws", ("us-gov-east-1", "aws-us-gov", False, True)),
        ("dkr-ecr-fips.us-gov-east-1.on.aws", ("us-gov-east-1", "aws-us-gov", True, True)),
        ("dkr.ecr.cn-north-1.amazonaws.com.cn", ("cn-north-1", "aws-cn", False, False)),
        ("dkr-ecr.cn-north-1.on.amazonwebservices.com.cn", ("cn-north-1", "aws-cn", False, True)),
        ("dkr.ecr.eusc-de-east-1.amazonaws.eu", ("eusc-de-east-1", "aws-eusc", False, False)),
        ("dkr-ecr.eusc-de-east-1.on.amazonwebservices.eu", ("eusc-de-east-1", "aws-eusc", False, True)),
        ("dkr.ecr.us-iso-east-1.c2s.ic.gov", ("us-iso-east-1", "aws-iso", False, False)),
        ("dkr.ecr.us-isob-east-1.sc2s.sgov.gov", ("us-isob-east-1", "aws-iso-b", False, False)),
        ("dkr.ecr.eu-isoe-west-1.cloud.adc-e.uk", ("eu-isoe-west-1", "aws-iso-e", False, False)),
        ("dkr.ecr.us-isof-south-1.csp.hci.ic.gov", ("us-isof-south-1", "aws-iso-f", False, False)),
    ],
)
def test_an_ecr_host_says_account_region_partition_and_form(rest: str, expected: tuple[str, str, bool, bool]) -> None:
    region, partition, fips, dual_stack = expected
    assert parse_ecr(f"{ACCOUNT}.{rest}") == EcrHost(ACCOUNT, region, partition, fips=fips, dual_stack=dual_stack)


@pytest.mark.parametrize(
    "host",
    [
        "123456789012.dkr.ecr.eu-west-1.amazonaws.com.evil.example",
        "evil.example.123456789012.dkr.ecr.eu-west-1.amazonaws.com",
        "x123456789012.dkr.ecr.eu-west-1.amazonaws.com",
        "12345.dkr.ecr.eu-west-1.amazonaws.com",
        "1234567890123.dkr.ecr.eu-west-1.amazonaws.com",
        "123456789012.dkr-ecr.eu-west-1.amazonaws.com",
        "123456789012.dkr.ecr.eu-west-1.on.aws",
        "123456789012.dkr-ecr-fips.us-east-1.amazonaws.com",
        "123456789012.dkr.ecr-fips.us-east-1.on.aws",
        "123456789012.dkr-ecr.cn-north-1.amazonaws.com.cn",
        "123456789012.dkr-ecr.cn-north-1.on.aws",
        "123456789012.dkr-ecr.us-iso-east-1.c2s.ic.gov",
        "123456789012.dkr.ecr.on.aws",
        "xdkr.ecr.eu-west-1.amazonaws.com",
        "123456789012.dkr.ecr.eu-west-1.evil.amazonaws.com",
        "123456789012.dkr.ecr.eu-west-1.amazonaws.com/team-a",
        "123456789012.dkr.ecr-fipsx.us-east-1.amazonaws.com",
        "123456789012.dkr.ecr.us_east_1.amazonaws.com",
        "123456789012.dkr.ecr.eu-west.amazonaws.com",
        "123456789012.dkr.ecr.cn-north-1.amazonaws.com",
        "123456789012.dkr.ecr.eu-west-1.amazonaws.com.cn",
        "123456789012.dkr.ecr.eu-west-1.amazonaws.eu",
        "123456789012.dkr.ecr.fips.us-east-1.amazonaws.com",
        "123456789012.dkr.ecr.eu-west-1.amazonaws.com:443",
        "123456789012.dkr.ecr.eu-west-1.amazonaws.com.",
        "123456789012.dkr.ecr.eu-west-1.amazonaws.com\n",
        "123456789012.dkr.ecr.eu-west-1amazonaws.com",
        "\u0661\u0662\u0663456789012.dkr.ecr.eu-west-1.amazonaws.com",
        "123456789012.DKR.ECR.eu-west-1.amazonaws.com",
        "public.ecr.aws",
        "ecr-public.aws.com",
        "registry.example.com",
        "",
    ],
)
def test_what_only_looks_like_an_ecr_host_is_none(host: str) -> None:
    with pytest.raises(ValueError, match=ECR):
        parse_ecr(host)


def test_the_partitions_are_those_of_botocore() -> None:
    known = {partition.name: (partition.suffix, partition.region) for partition in PARTITIONS}
    for name, (suffix, regions) in region_patterns().items():
        mine, pattern = known.pop(name)
        assert mine == suffix
        assert [
            region for region in regions if not region.endswith("-global") and not re.fullmatch(pattern, region)
        ] == []
    assert known == {}


def test_no_region_belongs_to_two_partitions() -> None:
    for _, regions in region_patterns().values():
        for region in regions:
            assert sum(re.fullmatch(partition.region, region) is not None for partition in PARTITIONS) <= 1


@pytest.mark.parametrize(
    "host",
    [
        "docker.io",
        "ghcr.io",
        "registry.corp:5000",
        "registry:5000",
        "localhost",
        "localhost:1",
        "10.0.0.1",
        "a.b:65535",
    ],
)
def test_a_bare_host_is_kept(host: str) -> None:
    assert check_bare(host) == host


@pytest.mark.parametrize(
    ("host", "form"),
    [
        ("https://index.docker.io/v1/", "docker.io"),
        ("index.docker.io", "docker.io"),
        ("https://ghcr.io", "ghcr.io"),
        ("ghcr.io/acme", "ghcr.io"),
        ("ghcr.io/", "ghcr.io"),
        ("GHCR.io", "ghcr.io"),
        ("http://registry.corp:5000/v2/", "registry.corp:5000"),
    ],
)
def test_another_form_of_a_host_is_told_the_right_one(host: str, form: str) -> None:
    with pytest.raises(ValueError, match=f"^expected the bare host: {re.escape(form)}$"):
        check_bare(host)


@pytest.mark.parametrize(
    "host",
    [
        "",
        "registry",
        "*.example.com",
        "a b.example",
        "a..b",
        "-a.b",
        "a_b.c",
        "a.b:0",
        "a.b:65536",
        "a.b:x",
        f"{'a.' * 127}b",
    ],
)
def test_what_is_no_host_is_refused(host: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(BARE)}$"):
        check_bare(host)


def test_a_password_in_a_host_is_not_repeated() -> None:
    with pytest.raises(ValueError, match=r"without a user name or password$"):
        check_bare("https://octocat:hunter2@ghcr.io")


@pytest.mark.parametrize("kind", ["ecr", "google", "static"])
def test_an_account_has_at_least_one_registry(kind: str) -> None:
    login = {"username": "a", "password": {"value": "b"}} if kind == "static" else {}
    assert complaint(type=kind, registries=(), **login) == "registries: expected at least one entry"


def test_an_account_names_no_registry_twice() -> None:
    assert complaint(type="google", registries=("gcr.io", "eu.gcr.io", "gcr.io")) == "registries: named twice: gcr.io"


@pytest.mark.parametrize(
    ("kind", "host"), [("ecr", "gcr.io"), ("google", "123456789012.dkr.ecr.eu-west-1.amazonaws.com")]
)
def test_an_account_refuses_the_hosts_of_another_cloud(kind: str, host: str) -> None:
    assert complaint(type=kind, registries=(host,)).startswith("registries.0: expected ")


def test_an_account_that_needs_a_login_of_its_own_takes_any_host() -> None:
    hosts = ("docker.io", "registry.corp:5000", "gcr.io")
    kept = account(type="static", registries=hosts, username="octocat", password={"value": "p"})
    assert kept.registries == hosts
