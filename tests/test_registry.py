"""A login tried at a registry: what it takes for a yes, and where a login is never sent."""

from collections.abc import Iterator

import pytest
import respx
from support.canned import Canned, canned_server
from support.token_registry import TokenRegistry, serving

from ecrmint.errors import (
    CloudError,
    EcrmintError,
    LoginRefusedError,
    MalformedAnswerError,
    ThrottledError,
    UnreachableError,
)
from ecrmint.minters._http import Calls, Http
from ecrmint.registry import Registry
from ecrmint.tokens import Login, Secret

GOOD = Login("octocat", Secret("correct-horse"))
BAD = Login("octocat", Secret("wrong-horse"))


@pytest.fixture
def calls() -> Calls:
    return Http().within(20.0)


@pytest.fixture
def registry() -> Iterator[TokenRegistry]:
    with serving(TokenRegistry("octocat", "correct-horse")) as running:
        yield running


def failure(registry: Registry, login: Login, calls: Calls) -> EcrmintError:
    with pytest.raises(EcrmintError) as caught:
        registry.prove(login, calls)
    return caught.value


def test_a_registry_with_a_token_service_is_asked_by_its_name_and_the_service_gets_the_login(
    registry: TokenRegistry, calls: Calls
) -> None:
    Registry("docker.io", registry.url).prove(GOOD, calls)
    assert registry.asked == ["docker.io /v2/", f"{registry.url.removeprefix('http://')} /token"]
    assert registry.queries[1] == {"service": ["registry.example"], "account": ["octocat"]}


def test_a_token_service_that_refuses_says_that_the_login_is_bad(registry: TokenRegistry, calls: Calls) -> None:
    error = failure(Registry("docker.io", registry.url), BAD, calls)
    assert (type(error), str(error)) == (
        LoginRefusedError,
        "the token service of docker.io does not accept the login (401)",
    )


@pytest.mark.parametrize(
    "realm",
    [
        "http://registry.example/token",
        "http://169.254.169.254/token",
        "ftp://127.0.0.1/token",
        "https://user@auth.example/token",
        "https:///token",
        "http://[::1/token",
        "/token",
    ],
)
def test_a_login_is_sent_to_no_realm_that_is_not_safe(registry: TokenRegistry, calls: Calls, realm: str) -> None:
    registry.realm = realm
    error = failure(Registry("docker.io", registry.url), GOOD, calls)
    assert isinstance(error, MalformedAnswerError)
    assert registry.asked == ["docker.io /v2/"]


def test_no_redirect_is_followed(registry: TokenRegistry, calls: Calls) -> None:
    moved = Canned(b"", status=307, headers={"Location": f"{registry.url}/v2/"})
    with canned_server({"v2": moved}) as url:
        error = failure(Registry("docker.io", url), GOOD, calls)
    assert (type(error), str(error)) == (MalformedAnswerError, "docker.io answers 307, as no registry does")
    assert registry.asked == []


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (Canned(b"", status=401), LoginRefusedError),
        (Canned(b"", status=401, headers={"WWW-Authenticate": 'Basic realm="x"'}), LoginRefusedError),
        (Canned(b"", status=403), LoginRefusedError),
        (Canned(b"", status=404), MalformedAnswerError),
        (Canned(b"", status=429), ThrottledError),
        (Canned(b"", status=503), CloudError),
        (Canned(b"x" * (65 << 10)), MalformedAnswerError),
    ],
    ids=["401", "401 by Basic", "403", "404", "429", "503", "too long"],
)
def test_no_other_answer_is_a_yes(calls: Calls, answer: Canned, kind: type[EcrmintError]) -> None:
    with canned_server({"v2": answer}) as url:
        assert type(failure(Registry("docker.io", url), GOOD, calls)) is kind


def test_a_yes_is_a_yes_whatever_else_it_says(calls: Calls) -> None:
    challenge = {"WWW-Authenticate": 'Bearer realm="http://registry.example/token"'}
    with canned_server({"v2": Canned(b"{}", headers=challenge)}) as url:
        Registry("docker.io", url).prove(GOOD, calls)


@pytest.mark.parametrize("body", [b"", b"{}", b'{"token": ""}', b"[]"])
def test_a_token_service_without_a_token_is_no_yes(registry: TokenRegistry, calls: Calls, body: bytes) -> None:
    with canned_server({"token": Canned(body)}) as url:
        registry.realm = f"{url}/token/v1"
        assert isinstance(failure(Registry("docker.io", registry.url), GOOD, calls), MalformedAnswerError)


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("docker.io", "https://registry-1.docker.io/v2/"),
        ("registry.corp:5000", "https://registry.corp:5000/v2/"),
        ("localhost:5000", "http://localhost:5000/v2/"),
        ("127.0.0.1:5000", "http://127.0.0.1:5000/v2/"),
    ],
)
def test_each_host_is_asked_where_docker_asks_it(calls: Calls, host: str, url: str) -> None:
    with respx.mock(using="httpcore2") as router:
        route = router.get(url).respond(json={})
        Registry(host).prove(GOOD, calls)
    assert route.call_count == 1


def test_an_outage_is_told_from_a_refusal(calls: Calls) -> None:
    assert isinstance(failure(Registry("docker.io", "http://127.0.0.1:1"), GOOD, calls), UnreachableError)
