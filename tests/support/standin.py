"""The stand-in cloud for tests: a clock that real clients can live with, and a world that is cleaned between tests."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx2

from ecrmint.standin.cloud import PACKED_BUDGET, Cloud

HTTP = httpx2.Client(trust_env=False, limits=httpx2.Limits(max_keepalive_connections=0))
"""One client for all, as making one loads the machine's certificates; it keeps no connection, so none needs closing."""

USER = "arn:aws:iam::111111111111:user/ci"
"""Whose keys most tests hold."""


@dataclass
class OffsetClock:
    """The real clock, moved: boto3 and google-auth sign with the real one, so the cloud's may only be some way off."""

    seconds: float = 0.0

    def __call__(self) -> float:
        return time.time() + self.seconds


@contextmanager
def cleaned(cloud: Cloud) -> Iterator[Cloud]:
    """Yield that cloud without a recorded call, and put right afterwards what the test made go wrong."""
    cloud.calls.clear()
    yield cloud
    cloud.faults.clear()
    cloud.disabled_regions.clear()
    cloud.packed_budget = PACKED_BUDGET
    if isinstance(cloud.clock, OffsetClock):
        cloud.clock.seconds = 0.0


def ping(url: str, host: str, auth: tuple[str, str] | None) -> int:
    """Return the status of the registry's ``/v2/`` under that Host."""
    return HTTP.get(f"{url}/v2/", headers={"Host": host}, auth=auth).status_code
