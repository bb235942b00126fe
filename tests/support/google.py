"""Google's APIs for tests that look at each request: willing answers, credentials files, and who was asked."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from time import time
from typing import cast
from urllib.parse import parse_qsl

import httpx2
import respx

from ecrmint.fields import SecretSource
from ecrmint.minters import Endpoints, Resources
from ecrmint.tokens import Secret

FILE = SecretSource(file="/etc/ecrmint/gcp.json")
PULL = "drone-pull@acme.iam.gserviceaccount.com"
CI = "ci@acme.iam.gserviceaccount.com"
READ_ONLY = "https://www.googleapis.com/auth/cloud-platform.read-only"
IAM = "https://www.googleapis.com/auth/iam"
PROVIDER = "//iam.googleapis.com/projects/123456789012/locations/global/workloadIdentityPools/acme-ci/providers/jobs"
METADATA = "http://169.254.169.254/computeMetadata/v1/instance/service-accounts/default"
TOKEN_URL = "https://oauth2.googleapis.com/token"
STS_URL = "https://sts.googleapis.com/v1/token"
FLAVOR = {"Metadata-Flavor": "Google"}
LOGIN, OWN = "ya29.the-login", "ya29.our-own"


def iam_url(email: str, host: str = "iamcredentials.googleapis.com") -> str:
    """Return where a service account's tokens are asked for."""
    return f"https://{host}/v1/projects/-/serviceAccounts/{email}:generateAccessToken"


def granted(token: object = OWN, **changes: object) -> dict[str, object]:
    """Return an OAuth answer."""
    return {"access_token": token, "expires_in": 3599, "token_type": "Bearer", **changes}


def impersonated(token: object = LOGIN, *, seconds: float = 3600, **changes: object) -> dict[str, object]:
    """Return an answer of generateAccessToken."""
    moment = datetime.fromtimestamp(time() + seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"accessToken": token, "expireTime": moment, **changes}


@contextmanager
def willing() -> Iterator[respx.Router]:
    """Yield Google's APIs, all of them willing. A request to any other address fails the test."""
    with respx.mock(using="httpcore2", assert_all_called=False) as router:  # pytest-httpx2 brings that name
        router.get(f"{METADATA}/token", name="metadata").respond(json=granted(), headers=FLAVOR)
        router.get(f"{METADATA}/email", name="email").respond(text=CI, headers=FLAVOR)
        router.post(TOKEN_URL, name="token").respond(json=granted())
        router.post(STS_URL, name="sts").respond(json=granted())
        for email in (PULL, CI):
            router.post(iam_url(email), name=email).respond(json=impersonated())
        yield router


def requests(router: respx.Router) -> list[httpx2.Request]:
    """Return every request, in order."""
    return [cast(httpx2.Request, call.request) for call in router.calls]


def asked(router: respx.Router) -> list[str]:
    """Return the addresses of all requests, without queries."""
    return [str(request.url).partition("?")[0] for request in requests(router)]


def hosts(router: respx.Router) -> set[str]:
    """Return whom we talked to."""
    return {request.url.host for request in requests(router)}


def form(request: httpx2.Request) -> dict[str, str]:
    """Return the form of a request."""
    return dict(parse_qsl(request.content.decode(), strict_parsing=True))


def external(**changes: object) -> dict[str, object]:
    """Return the JSON of an ``external_account``, as gcloud writes it; None takes a field away."""
    fields = {
        "type": "external_account",
        "universe_domain": "googleapis.com",
        "audience": PROVIDER,
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": STS_URL,
        "token_info_url": "https://sts.googleapis.com/v1/introspect",
        "credential_source": {"file": "/var/run/secrets/tokens/gcp", "format": {"type": "text"}},
        **changes,
    }
    return {name: value for name, value in fields.items() if value is not None}


def with_file(content: object, endpoints: Endpoints | None = None) -> Resources:
    """Return resources whose credentials file has that content, JSON unless it is a text."""
    text = content if isinstance(content, str) else json.dumps(content)
    return Resources(endpoints=endpoints or Endpoints(), secrets={FILE: Secret(text)})
