"""What both ECRs answer to GetAuthorizationToken: a login and its end."""

from base64 import b64encode

from ecrmint.standin import expiry
from ecrmint.standin.cloud import ECR_LIFE, AccessKey, Cloud
from ecrmint.standin.ecr_registry import EcrRegistry
from ecrmint.standin.faults import Api


def authorization_data(cloud: Cloud, api: Api, key: AccessKey, registry: EcrRegistry | None) -> dict[str, object]:
    """Issue a login that carries the permissions of ``key``, and return the data of it that both ECRs have."""
    password, login = cloud.issue_ecr_login(key, registry, seconds=cloud.life(api, ECR_LIFE))
    token = b64encode(f"AWS:{password.reveal()}".encode()).decode()
    end = expiry.as_number(cloud, api, login.expires_at)
    return {"authorizationToken": token, **({} if end is None else {"expiresAt": end})}
