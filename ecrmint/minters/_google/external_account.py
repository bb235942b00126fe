"""Credentials of the kind ``external_account``: another provider's identity, and as whom it acts at Google's.

Source: google.aip.dev/auth/4117; IAM docs, "Configure Workload Identity Federation", for what gcloud writes.
"""

import re
from collections.abc import Mapping
from typing import Final

from ecrmint.minters._google.access_token import HOUR, Source
from ecrmint.minters._google.apis import GoogleApis
from ecrmint.minters._google.credential_source import parse_subject
from ecrmint.minters._google.email import EMAIL
from ecrmint.minters._google.federation import FederatedSource
from ecrmint.minters._google.impersonation import ImpersonatedSource, Impersonation
from ecrmint.minters._google.json_fields import matched, object_of, text_of
from ecrmint.minters._google.surroundings import Surroundings

_AUDIENCE: Final = re.compile(
    r"//iam\.[a-z0-9.-]{1,100}/projects/[0-9]{1,20}/locations/[a-z0-9-]{1,40}/workloadIdentityPools/[a-z0-9.-]{1,63}"
    r"/providers/[a-z0-9-]{1,63}"
    r"|identitynamespace:[A-Za-z0-9.:/_-]{1,300}",
    re.ASCII,
)
_TOKEN_TYPE: Final = re.compile(r"urn:[a-z0-9_:-]{1,100}", re.ASCII)
_URL: Final = "service_account_impersonation_url"
_URL_PARTS: Final = re.compile(
    rf"(https?://[^/]+)/v1/projects/-/serviceAccounts/({EMAIL}):generateAccessToken", re.ASCII
)
_OPTIONS: Final = "service_account_impersonation"
_SHORTEST, _LONGEST = 600, 43200  # seconds
_UNSUPPORTED: Final = ("client_id", "client_secret", "workforce_pool_user_project")


def parse_external(content: Mapping[str, object], around: Surroundings) -> Source:
    """Return the identity that a file's JSON describes. Raises: ValueError, with no part of a secret."""
    for name in _UNSUPPORTED:
        if name in content:
            raise ValueError(f"{name}: the credentials of people (workforce pools) are not supported")
    audience = matched(content, "audience", _AUDIENCE, form="the full name of a workload identity pool's provider")
    token_type = matched(content, "subject_token_type", _TOKEN_TYPE, form="a URN")
    named = around.apis.check(text_of(content, "token_url"), name="token_url") if "token_url" in content else None
    subject = parse_subject(object_of(content, "credential_source"), audience, around)
    source = FederatedSource(audience, token_type, subject, around.apis.sts(named))
    return ImpersonatedSource(source, parse_impersonation(content, around.apis)) if _URL in content else source


def parse_impersonation(
    content: Mapping[str, object], apis: GoogleApis, delegates: tuple[str, ...] = ()
) -> Impersonation:
    """Return as whom a file's identity acts. Raises: ValueError."""
    match = _URL_PARTS.fullmatch(apis.check(text_of(content, _URL), name=_URL))
    if match is None:
        raise ValueError(f"{_URL}: expected https://.../v1/projects/-/serviceAccounts/EMAIL:generateAccessToken")
    return Impersonation(match[2], _lifetime(content), apis.iamcredentials(match[1]), delegates)


def _lifetime(content: Mapping[str, object]) -> int:
    options = object_of(content, _OPTIONS) if _OPTIONS in content else {}
    seconds = options.get("token_lifetime_seconds", HOUR)
    if not isinstance(seconds, int) or not _SHORTEST <= seconds <= _LONGEST:
        raise ValueError(f"{_OPTIONS}.token_lifetime_seconds: expected {_SHORTEST} to {_LONGEST}")
    return seconds
