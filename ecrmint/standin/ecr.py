"""AWS ECR: GetAuthorizationToken in the JSON 1.1 protocol.

Source: Amazon ECR API Reference, and botocore's ``ecr/2015-09-21`` model.
"""

from functools import partial
from typing import Final

from starlette.responses import Response

from ecrmint.standin import aws, aws_json
from ecrmint.standin.authorization import authorization_data
from ecrmint.standin.cloud import Cloud
from ecrmint.standin.ecr_registry import EcrRegistry
from ecrmint.standin.faults import Failure, Faults, RefusedError
from ecrmint.standin.operation import Operation
from ecrmint.standin.sigv4 import SignedRequest

TARGET: Final = "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken"
SERVICE: Final = aws.Service("ecr", aws_json.CODES)


def operation(cloud: Cloud, request: SignedRequest) -> Operation:
    """Return the minting of a login."""
    claim = aws.claim(cloud, request)
    return Operation(
        "ecr.GetAuthorizationToken",
        claim.caller,
        claim.region,
        partial(_get_authorization_token, cloud, request),
        aws_json.refuse,
        SERVICE.failure("throttled", "Rate exceeded"),
    )


def _get_authorization_token(cloud: Cloud, request: SignedRequest) -> Response:
    session = aws.authenticate(cloud, SERVICE, request)
    if request.body != b"{}":
        raise RefusedError(Failure(501, "NotImplemented", "the stand-in cloud knows no parameters of this action"))
    aws.demand(SERVICE, session.key, "ecr:GetAuthorizationToken")
    faults = cloud.faults["ecr.GetAuthorizationToken"]
    return aws_json.answer({"authorizationData": [_data(cloud, session, faults) for _ in range(faults.logins)]})


def _data(cloud: Cloud, session: aws.Session, faults: Faults) -> dict[str, object]:
    registry = EcrRegistry(session.key.account, session.region)
    named = EcrRegistry(faults.proxy_account or registry.account, registry.region)
    data = authorization_data(cloud, "ecr.GetAuthorizationToken", session.key, registry)
    return {**data, "proxyEndpoint": f"https://{named.host}"}
