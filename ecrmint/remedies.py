"""What is missing where a cloud refuses a step: statements for AWS's policies, commands for Google's. Pure.

Sources: IAM User Guide, "Policies and permissions", and the actions of STS, ECR and ECR Public in the Service
Authorization Reference; Google IAM docs, "Service account impersonation"; Artifact Registry docs, "Roles".
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ecrmint.errors import (
    EcrmintError,
    LoginRefusedError,
    RegistryDeniedError,
    TrustDeniedError,
    WebIdentity,
)

Statement = Mapping[str, object]

_SESSION: Final = re.compile(r"arn:(aws[a-z-]*):sts::([0-9]{12}):assumed-role/([^/]+)/.*", re.ASCII)
_PROJECT: Final = re.compile(r".+@(.+)\.iam\.gserviceaccount\.com", re.ASCII)
_GOOGLE: Final = "accounts.google.com"
_NOBODY: Final = "ARN-OF-OUR-OWN-IDENTITY"
_TOKEN_ACTIONS: Final[Mapping[str, str | Sequence[str]]] = {
    "ecr": "ecr:GetAuthorizationToken",
    "ecr-public": ("ecr-public:GetAuthorizationToken", "sts:GetServiceBearerToken"),
}


@dataclass(frozen=True, slots=True)
class Remedy:
    """``place``: where it goes, in words; ``content``: a statement of an IAM policy, or a command line."""

    place: str
    content: Statement | str


def remedies(error: EcrmintError, *, provider: str, caller: str) -> list[Remedy]:
    """Return what to add, as far as it can be known; what is there already may stay.

    ``provider``: an account's type; ``caller``: who was refused, by ARN or email, empty where nobody knows.
    """
    if provider == "google":
        return _google(error, caller)
    return _aws(error, provider, _principal(caller)) if provider in _TOKEN_ACTIONS else []


def _aws(error: EcrmintError, provider: str, caller: str) -> list[Remedy]:
    match error:
        case TrustDeniedError() if error.web is not None:
            return [Remedy(f"the trust policy of {error.target}", _trust_web_identity(error, error.web))]
        case TrustDeniedError() if error.target:
            return _both(error, caller)
        case RegistryDeniedError():
            return [Remedy(f"a policy of {caller}", _allow(_TOKEN_ACTIONS[provider], Resource="*"))]
    return []


def _both(error: TrustDeniedError, caller: str) -> list[Remedy]:
    """Return the two statements that one account needs to act in another: the role's and the caller's."""
    told = {"Condition": {"StringEquals": {"sts:ExternalId": error.external_id}}} if error.external_id else {}
    return [
        Remedy(f"the trust policy of {error.target}", _allow(error.action, Principal={"AWS": caller}, **told)),
        Remedy(f"a policy of {caller}", _allow(error.action, Resource=error.target)),
    ]


def _trust_web_identity(error: TrustDeniedError, web: WebIdentity) -> Statement:
    _, partition, _, _, account, _ = error.target.split(":", 5)
    issuer = web.issuer.removeprefix("https://").rstrip("/")
    provider, audience = f"arn:{partition}:iam::{account}:oidc-provider/{issuer}", f"{issuer}:aud"
    if issuer == _GOOGLE:  # built into IAM, which calls azp its aud, and aud its oaud
        provider, audience = _GOOGLE, f"{_GOOGLE}:oaud"
    condition = {"StringEquals": {f"{issuer}:sub": web.subject, audience: web.audience}}
    return _allow(error.action, Principal={"Federated": provider}, Condition=condition)


def _allow(action: str | Sequence[str], **rest: object) -> Statement:
    return {"Effect": "Allow", "Action": action if isinstance(action, str) else [*action], **rest}


def _principal(caller: str) -> str:
    """Return the role of a session, by which policies name it (a role's path is not in its sessions' ARNs)."""
    session = _SESSION.fullmatch(caller)
    return f"arn:{session[1]}:iam::{session[2]}:role/{session[3]}" if session else caller or _NOBODY


def _google(error: EcrmintError, caller: str) -> list[Remedy]:
    # The session of an AWS role, which may have an @ in its name, is a principal by way of a pool.
    member = f"serviceAccount:{caller}" if "@" in caller and not caller.startswith("arn:") else "MEMBER"
    match error:
        case TrustDeniedError() if error.target:
            return [Remedy(f"who may act as {error.target}", _let_impersonate(error.target, member))]
        case LoginRefusedError():
            command = "gcloud projects add-iam-policy-binding PROJECT"
            role = "--role=roles/artifactregistry.reader"
            return [Remedy("the project of the registry", f"{command} --member={member} {role}")]
    return []


def _let_impersonate(target: str, member: str) -> str:
    project = _PROJECT.fullmatch(target)
    where = f" --project={project[1]}" if project else ""
    command = f"gcloud iam service-accounts add-iam-policy-binding {target}{where}"
    return f"{command} --member={member} --role=roles/iam.serviceAccountTokenCreator"
