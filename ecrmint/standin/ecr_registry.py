"""A private ECR registry: there is one for each account and region, under several names.

Source: Amazon ECR User Guide, "Amazon ECR private registry", and the AWS partitions' DNS suffixes.
"""

import re
from dataclasses import dataclass
from typing import Final, NamedTuple

PUBLIC_HOSTS: Final = frozenset({"public.ecr.aws", "ecr-public.aws.com"})
_HOST: Final = re.compile(r"(\d{12})\.dkr[.-]ecr(?:-fips)?\.([a-z0-9-]+)\..+", re.ASCII)


class _Partition(NamedTuple):
    regions: str  # the start of their names
    name: str
    suffix: str
    dual_suffix: str  # of the dual-stack names


_PARTITIONS: Final = (
    _Partition("cn-", "aws-cn", "amazonaws.com.cn", "on.amazonwebservices.com.cn"),
    _Partition("eusc-", "aws-eusc", "amazonaws.eu", "on.amazonwebservices.eu"),
    _Partition("us-gov-", "aws-us-gov", "amazonaws.com", "on.aws"),
    _Partition("", "aws", "amazonaws.com", "on.aws"),
)


@dataclass(frozen=True, slots=True)
class EcrRegistry:
    """An account's registry in a region."""

    account: str  # 12 digits
    region: str

    @property
    def host(self) -> str:
        """Its plain name."""
        return f"{self.account}.dkr.ecr.{self.region}.{self._partition.suffix}"

    @property
    def hosts(self) -> frozenset[str]:
        """Every name that it has: plain, FIPS, dual-stack, both."""
        dual_suffix = self._partition.dual_suffix
        fips = f"{self.account}.dkr.ecr-fips.{self.region}.{self._partition.suffix}"
        dual = {f"{self.account}.dkr-{name}.{self.region}.{dual_suffix}" for name in ("ecr", "ecr-fips")}
        return frozenset({self.host, fips, *dual})

    def arn(self, repository: str) -> str:
        """Return the ARN of one of its repositories."""
        return f"arn:{self._partition.name}:ecr:{self.region}:{self.account}:repository/{repository}"

    @property
    def _partition(self) -> _Partition:
        return next(partition for partition in _PARTITIONS if self.region.startswith(partition.regions))


def find(host: str) -> EcrRegistry | None:
    """Return the registry of that very name, None where it is not one of ECR's."""
    match = _HOST.fullmatch(host)
    registry = EcrRegistry(match[1], match[2]) if match else None
    return registry if registry and host in registry.hosts else None
