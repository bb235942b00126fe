"""How long Google's logins live at most, as far as a configuration says it."""

import json

import pytest
from support.accounts import account
from support.google import CI, FILE, PULL, external, iam_url, with_file

from ecrmint.minters import Resources
from ecrmint.standin.service_account import ServiceAccount

HOUR = 3600
OWN: dict[str, object] = {"type": "google", "registries": ("gcr.io",)}
FILED: dict[str, object] = {**OWN, "credentials_file": FILE.file}
KEY = ServiceAccount(CI, HOUR).create_key("https://oauth2.googleapis.com/token")
ACTING = {"service_account_impersonation_url": iam_url(PULL)}
LONG = {"service_account_impersonation": {"token_lifetime_seconds": 7200}}


@pytest.mark.parametrize(
    ("fields", "content", "life"),
    [
        (OWN, None, HOUR),
        ({**OWN, "self_impersonate": "never"}, None, HOUR),
        ({**OWN, "service_account": PULL}, None, HOUR),
        ({**OWN, "service_account": PULL, "lifetime": "12h"}, None, 12 * HOUR),
        (FILED, KEY, HOUR),
        ({**FILED, "self_signed": True}, KEY, HOUR),
        (FILED, external(), HOUR),
        (FILED, external(**ACTING), HOUR),
        (FILED, external(**ACTING, **LONG), 2 * HOUR),
        (FILED, {"type": "impersonated_service_account", **ACTING, "source_credentials": KEY}, HOUR),
        ({**FILED, "service_account": PULL, "lifetime": "30m"}, external(**ACTING, **LONG), HOUR / 2),
        (FILED, None, None),
    ],
    ids=lambda value: json.dumps(value)[-40:],
)
def test_a_login_lives_as_long_as_the_last_token_of_its_chain(
    fields: dict[str, object], content: object, life: float | None
) -> None:
    resources = Resources() if content is None else with_file(content)
    assert account(**fields).longest_life(resources) == life


def test_only_google_has_logins_that_may_be_too_short() -> None:
    hub = account(type="static", registries=("docker.io",), username="a", password={"value": "b"})
    assert (hub.longest_life(Resources()), hub.hosts) == (None, ("docker.io",))
