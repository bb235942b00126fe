"""Registry hosts: what a bare host is, and what the hosts of each cloud say. Pure, anchored, lower case only."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

_LONGEST_HOST: Final = 253  # characters, RFC 1035 section 2.3.4
_HIGHEST_PORT: Final = 65535

_LABEL: Final = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
# A single word without a port is a repository of Docker Hub to every docker client, so no image is ever on such a host.
_BARE: Final = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})+|localhost|{_LABEL}(?=:))(?::([0-9]{{1,5}}))?", re.ASCII)
_OTHER_NAMES: Final[Mapping[str, str]] = {"index.docker.io": "docker.io"}

_ECR: Final = re.compile(
    r"(?P<account>[0-9]{12})\.dkr(?P<form>\.ecr|-ecr)(?P<fips>-fips)?\.(?P<region>[a-z0-9-]+)\.(?P<suffix>[a-z0-9.-]+)",
    re.ASCII,
)
ECR_PUBLIC: Final = "public.ecr.aws"
ECR_PUBLIC_DUAL_STACK: Final = "ecr-public.aws.com"


@dataclass(frozen=True, slots=True)
class Partition:
    """A separate part of AWS: the shape of its regions' names, and the suffixes of its registries' hosts."""

    name: str
    region: str  # a pattern
    suffix: str
    dual_stack_suffix: str | None = None


# Names, regions and suffixes are those of botocore's partitions.json (a test compares them); a new region of a known
# partition needs no release. The dual-stack suffixes are those of the registries, not of the API.
PARTITIONS: Final = (
    Partition("aws", r"(?!cn-)[a-z]{2}-[a-z]+-[0-9]{1,2}", "amazonaws.com", "on.aws"),
    Partition("aws-us-gov", r"us-gov-[a-z]+-[0-9]{1,2}", "amazonaws.com", "on.aws"),
    Partition("aws-cn", r"cn-[a-z]+-[0-9]{1,2}", "amazonaws.com.cn", "on.amazonwebservices.com.cn"),
    Partition("aws-eusc", r"eusc-[a-z]+-[a-z]+-[0-9]{1,2}", "amazonaws.eu", "on.amazonwebservices.eu"),
    Partition("aws-iso", r"us-iso-[a-z]+-[0-9]{1,2}", "c2s.ic.gov"),
    Partition("aws-iso-b", r"us-isob-[a-z]+-[0-9]{1,2}", "sc2s.sgov.gov"),
    Partition("aws-iso-e", r"eu-isoe-[a-z]+-[0-9]{1,2}", "cloud.adc-e.uk"),
    Partition("aws-iso-f", r"us-isof-[a-z]+-[0-9]{1,2}", "csp.hci.ic.gov"),
)


@dataclass(frozen=True, slots=True)
class EcrHost:
    """What the host of a private ECR registry says."""

    account: str
    region: str
    partition: str
    fips: bool
    dual_stack: bool


def check_bare(host: str) -> str:
    """Return a host as docker clients compare it: lower case, ``host`` or ``host:port``. Raises: ValueError."""
    if "@" in host:
        raise ValueError("a registry is named by its host alone, without a user name or password")
    bare = re.sub(r"^[a-z][a-z0-9+.-]*://", "", host.lower()).partition("/")[0]
    bare = _OTHER_NAMES.get(bare, bare)
    match = _BARE.fullmatch(bare)
    if match is None or len(bare) > _LONGEST_HOST or not 0 < int(match[1] or 1) <= _HIGHEST_PORT:
        raise ValueError("expected a bare host such as registry.example.com or registry.example.com:5000")
    if bare != host:
        raise ValueError(f"expected the bare host: {bare}")
    return host


def check_ecr(host: str) -> str:
    """Return the host of a private ECR registry. Raises: ValueError."""
    parse_ecr(host)
    return host


def check_ecr_public(host: str) -> str:
    """Return a host of ECR Public. Raises: ValueError. Source: Amazon ECR Public User Guide, "Registries"."""
    if host not in (ECR_PUBLIC, ECR_PUBLIC_DUAL_STACK):
        raise ValueError(f"expected {ECR_PUBLIC}, or {ECR_PUBLIC_DUAL_STACK} where IPv6 is needed")
    return host


def parse_ecr(host: str) -> EcrHost:
    """Return what an ECR host says. Raises: ValueError.

    Source: Amazon ECR User Guide, "Registry authentication", and AWS's table of ECR endpoints (FIPS, dual-stack).
    """
    match = _ECR.fullmatch(host)
    partition = _partition(match) if match is not None else None
    if match is not None and partition is not None:
        fips, dual_stack = match["fips"] is not None, match["form"] == "-ecr"
        return EcrHost(match["account"], match["region"], partition.name, fips=fips, dual_stack=dual_stack)
    raise ValueError(
        "expected a private ECR registry: ACCOUNT.dkr.ecr.REGION.amazonaws.com, or its FIPS, dual-stack, China,"
        " European or isolated form"
    )


def partition_of(region: str) -> str | None:
    """Return the partition of a region, None where no region is named like that."""
    return next((each.name for each in PARTITIONS if re.fullmatch(each.region, region, re.ASCII)), None)


def _partition(host: re.Match[str]) -> Partition | None:
    for partition in PARTITIONS:
        suffix = partition.suffix if host["form"] == ".ecr" else partition.dual_stack_suffix
        if host["suffix"] == suffix and re.fullmatch(partition.region, host["region"]):
            return partition
    return None


_T = TypeVar("_T", bound=tuple[str, ...])


def check_list(entries: _T) -> _T:
    """Return a list that is not empty and names nothing twice. Raises: ValueError."""
    if not entries:
        raise ValueError("expected at least one entry")
    repeated = sorted({entry for entry in entries if entries.count(entry) > 1})
    if repeated:
        raise ValueError(f"named twice: {', '.join(repeated)}")
    return entries
