"""What the tests of AWS minters share: they are a user of the file's ``server``, their stand-in cloud."""

from collections.abc import Iterator

import pytest
from support.identity import become
from support.standin import USER, cleaned

from ecrmint.minters import Endpoints, Resources
from ecrmint.minters._urls import Regional
from ecrmint.standin.cloud import AccessKey, Cloud
from ecrmint.standin.server import StandinServer


@pytest.fixture(scope="module")
def key(server: StandinServer) -> AccessKey:
    return server.cloud.add_key(USER)


@pytest.fixture
def cloud(server: StandinServer, key: AccessKey, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    become(monkeypatch, key)
    with cleaned(server.cloud) as cloud:
        yield cloud


@pytest.fixture
def resources(server: StandinServer) -> Resources:
    return Resources(endpoints=Endpoints(sts=Regional(server.url), ecr=Regional(server.url)))
