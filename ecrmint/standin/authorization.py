"""What both ECRs answer to GetAuthorizationToken: a login and its end."""

from base64 import b64encode

from ecrmint.standin.cloud import ECR_LIFE, AccessKey, Cloud
from ecrmint.standin.ecr_registry import EcrRegistry
from ecrmint.standin.faults import Api


def authorization_data(cloud: Cloud, api: Api, key: AccessKey, registry: EcrRegistry | None) -> dict[str, object]:
    """Issue a login that carries the permissions of ``key``, and return the data of it that both ECRs have."""
    password, login = cloud.issue_ecr_login(key, registry, seconds=cloud.life(api, ECR_LIFE))
    return {
        "authorizationToken": b64encode(f"AWS:{password.reveal()}".encode()).decode(),
        "expiresAt": round(login.expires_at, 3),
    }
