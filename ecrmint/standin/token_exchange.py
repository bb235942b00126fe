"""Google's Security Token Service: a federated access token for a token of a provider that a pool trusts.

Source: Security Token Service API reference, ``v1.token``; RFC 8693, "OAuth 2.0 Token Exchange".
"""

import re
from collections.abc import Mapping
from functools import partial
from typing import Final
from urllib.parse import parse_qsl

from starlette.responses import JSONResponse, Response

from ecrmint.standin import federated_aws, federated_jwt
from ecrmint.standin.cloud import GOOGLE_LIFE, Cloud
from ecrmint.standin.faults import Failure, RefusedError
from ecrmint.standin.oauth_error import THROTTLED, refusal, refuse
from ecrmint.standin.operation import Operation
from ecrmint.standin.workload_identity import AwsPoolProvider, PoolProvider, Subject

PATH: Final = "/v1/token"
GRANT: Final = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN: Final = "urn:ietf:params:oauth:token-type:access_token"
_REQUIRED: Final = ("grant_type", "audience", "scope", "requested_token_type", "subject_token_type", "subject_token")
_AUDIENCE: Final = re.compile(
    r"//iam\.googleapis\.com/projects/\d+/locations/global/workloadIdentityPools/[a-z0-9-]{4,32}/providers/[a-z0-9-]{4,32}",
    re.ASCII,
)


def operation(cloud: Cloud, body: bytes) -> Operation:
    """Return the exchange that a form asks for."""
    form = dict(parse_qsl(body.decode(errors="replace")))
    target, perform = form.get("audience", ""), partial(_exchange, cloud, form)
    return Operation("google.sts", _claimed(cloud, form), target, perform, refuse, THROTTLED)


def _exchange(cloud: Cloud, form: Mapping[str, str]) -> Response:
    _check_form(form)
    provider = cloud.pool_providers.get(form["audience"])
    if provider is None:
        text = 'The target service indicated by the "audience" parameters is invalid. This might either be because the'
        raise refusal("invalid_target", f"{text} pool or provider is disabled or deleted or because it doesn't exist.")
    if form["subject_token_type"] not in provider.token_types:
        raise refusal("invalid_request", "Invalid value for subject_token_type for this provider.")
    subject = _verified(cloud, provider, form["subject_token"])
    if not provider.accepts(subject):
        raise refusal("unauthorized_client", "The given credential is rejected by the attribute condition.")
    return _issue(cloud, provider, subject, frozenset(form["scope"].split()))


def _check_form(form: Mapping[str, str]) -> None:
    for name in sorted(form.keys() - {*_REQUIRED}):
        raise RefusedError(Failure(501, "NotImplemented", f"the stand-in cloud does not know the exchange's {name}"))
    for name in _REQUIRED:
        if name not in form:
            raise refusal("invalid_request", f"Missing required parameter: {name}")
    if form["grant_type"] != GRANT:
        raise refusal("unsupported_grant_type", "Invalid grant_type")
    if form["requested_token_type"] != ACCESS_TOKEN:
        raise refusal("invalid_request", "Invalid requested_token_type")
    if not _AUDIENCE.fullmatch(form["audience"]):
        text = 'Invalid value for "audience". This value should be the full resource name of the Identity Provider.'
        raise refusal("invalid_request", text)


def _verified(cloud: Cloud, provider: PoolProvider, token: str) -> Subject:
    if isinstance(provider, AwsPoolProvider):
        return federated_aws.verified(cloud, provider, token)
    return federated_jwt.verified(provider, token, cloud.clock())


def _issue(cloud: Cloud, provider: PoolProvider, subject: Subject, scopes: frozenset[str]) -> Response:
    # Never longer than what it was made from: five minutes for a job's token, say.
    seconds = cloud.life("google.sts", min(GOOGLE_LIFE, subject.expires_at - cloud.clock()))
    token = cloud.issue_google_token(subject.principals(provider.name), scopes, seconds=seconds)
    content = {"access_token": token.reveal(), "issued_token_type": ACCESS_TOKEN, "token_type": "Bearer"}
    return JSONResponse({**content, "expires_in": int(seconds)})


def _claimed(cloud: Cloud, form: Mapping[str, str]) -> str:
    token = form.get("subject_token", "")
    return federated_jwt.claimed(token) or federated_aws.claimed(cloud, token)
