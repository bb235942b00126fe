"""An AWS identity as a subject's token: a signed call of GetCallerIdentity, which Google makes to see whose it is.

Signed by botocore as whoever its whole chain finds (IRSA, EKS Pod Identity, ECS, a profile, EC2): google-auth knows the
environment and EC2 alone, and takes a node's role for a pod's. Source: Google IAM docs, "Configure Workload Identity
Federation with AWS"; Security Token Service API reference, ``v1.token``, ``subjectToken``.
"""

import json
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from ecrmint.errors import NoIdentityError
from ecrmint.minters._attempt import attempt
from ecrmint.minters._aws.clients import Aws, Place
from ecrmint.minters._aws.errors import UNREADABLE, Step
from ecrmint.minters._http import Calls
from ecrmint.tokens import Secret

if TYPE_CHECKING:
    from botocore.credentials import ReadOnlyCredentials

FALLBACK_REGION: Final = "us-east-1"  # where neither the environment nor a profile has one: any does for this call
_URL: Final = "https://sts.{region}.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15"


@dataclass(frozen=True, slots=True)
class AwsSubject:
    """The process's own AWS identity. ``audience``: the provider that alone may use what is signed."""

    audience: str
    sts_url: str | None  # the configuration's, of the fallback region, for who asks who we are
    aws: Aws = field(compare=False, repr=False)

    def token(self, calls: Calls) -> Secret:
        """Return the signed call, as the Security Token Service takes it. Raises: MintError."""
        credentials, region = self.aws.signer(self._place())
        return attempt(partial(_signed, credentials, region, self.audience), _UNSIGNED.explain)

    def describe(self, calls: Calls) -> str:
        """Return the ARN of the identity. Raises: MintError."""
        return self.aws.own_arn(self._place()) or "STS does not say"

    def _place(self) -> Place:
        return Place(FALLBACK_REGION, self.sts_url)


def _signed(credentials: "ReadOnlyCredentials", region: str, audience: str) -> Secret:
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest

    url = _URL.replace("{region}", region)
    # Among the signed headers, so that nobody else's provider can be told that we are there.
    headers = {"host": f"sts.{region}.amazonaws.com", "x-goog-cloud-target-resource": audience}
    request = AWSRequest("POST", url, headers=headers)
    SigV4Auth(credentials, "sts", region).add_auth(request)
    listed = [{"key": key, "value": value} for key, value in request.headers.items()]
    return Secret(quote(json.dumps({"url": url, "method": "POST", "headers": listed})))


_UNSIGNED: Final = Step("the signature of a GetCallerIdentity", NoIdentityError, broken=UNREADABLE)
