"""AWS ECR Public: GetAuthorizationToken, whose answer is one object and names no registry.

Source: Amazon ECR Public API Reference, and botocore's ``ecr-public/2020-10-30`` model.
"""

from functools import partial
from typing import Final

from starlette.responses import Response

from ecrmint.standin import aws, aws_json
from ecrmint.standin.authorization import authorization_data
from ecrmint.standin.cloud import Cloud
from ecrmint.standin.operation import Operation
from ecrmint.standin.sigv4 import SignedRequest

TARGET: Final = "SpencerFrontendService.GetAuthorizationToken"
REGION: Final = "us-east-1"  # ECR Public User Guide, "Registry authentication": tokens are asked there alone
SERVICE: Final = aws.Service("ecr-public", aws_json.CODES)


def operation(cloud: Cloud, request: SignedRequest) -> Operation:
    """Return the minting of a login for the public registry."""
    claim = aws.claim(cloud, request)
    return Operation(
        "ecr-public.GetAuthorizationToken",
        claim.caller,
        claim.region,
        partial(_get_authorization_token, cloud, request),
        aws_json.refuse,
        SERVICE.failure("throttled", "Rate exceeded"),
    )


def _get_authorization_token(cloud: Cloud, request: SignedRequest) -> Response:
    session = aws.authenticate(cloud, SERVICE, request)
    if session.region != REGION:
        raise SERVICE.refusal("bad_signature", "Credential should be scoped to a valid region.")
    for action in ("ecr-public:GetAuthorizationToken", "sts:GetServiceBearerToken"):
        aws.demand(SERVICE, session.key, action)
    data = authorization_data(cloud, "ecr-public.GetAuthorizationToken", session.key, None)
    return aws_json.answer({"authorizationData": data})
