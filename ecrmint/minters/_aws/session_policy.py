"""The session policy of an ECR login: what its bearer may do is this and the role's own policies, whichever is less.

Pure. Sources: IAM User Guide, "Session policies" and "Policies and permissions"; Amazon ECR User Guide, "IAM
permissions required to sync an upstream registry"; Service Authorization Reference, Amazon ECR.
"""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Final, Literal

Access = Literal["pull", "pull-through"]

LONGEST: Final = 2048  # characters; STS API Reference, AssumeRole, Policy
_PULL: Final = ("ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "ecr:BatchCheckLayerAvailability")
_ACTIONS: Final[Mapping[Access, tuple[str, ...]]] = {
    "pull": _PULL,
    # A pull through the cache fetches what is new upstream, and makes the repository where it is the first one.
    "pull-through": (*_PULL, "ecr:BatchImportUpstreamImage", "ecr:CreateRepository"),
}
PUBLIC_ACTIONS: Final = ("ecr-public:GetAuthorizationToken", "sts:GetServiceBearerToken")
"""What ECR Public asks for; a login of it can pull whatever it may otherwise do."""
# The characters of a repository's name (ECR API Reference, CreateRepository); of IAM's wildcards `*` alone.
_PATTERN: Final = re.compile(r"[a-z0-9*][a-z0-9._/*-]{0,255}", re.ASCII)


def check_repository(pattern: str) -> str:
    """Return a pattern of repositories' names. Raises: ValueError."""
    if "**" in pattern:
        raise ValueError("`**` is not one of IAM's patterns: write one `*`, which crosses / as well")
    if _PATTERN.fullmatch(pattern) is None:
        raise ValueError(
            "expected a repository's name, or a pattern such as team-a/*: a-z 0-9 . _ - / and `*`, which crosses /"
        )
    return pattern


def session_policy(
    *, partition: str, region: str, accounts: Iterable[str], repositories: Iterable[str], access: Access
) -> str:
    """Return the policy that lets its bearer pull from repositories of these accounts' registries in one region."""
    repositories = tuple(repositories)
    arns = [
        f"arn:{partition}:ecr:{region}:{account}:repository/{name}" for account in accounts for name in repositories
    ]
    statements = [
        _allow(("ecr:GetAuthorizationToken",), ["*"]),  # it has no resource of its own
        _allow(_ACTIONS[access], arns),
    ]
    return _document(statements)


def public_policy() -> str:
    """Return the policy that lets its bearer pull from ECR Public, and push nothing there."""
    return _document([_allow(PUBLIC_ACTIONS, ["*"])])


def _document(statements: list[dict[str, object]]) -> str:
    # No space anywhere: they count.
    return json.dumps({"Version": "2012-10-17", "Statement": statements}, separators=(",", ":"))


def _allow(actions: tuple[str, ...], resources: list[str]) -> dict[str, object]:
    return {"Effect": "Allow", "Action": [*actions], "Resource": resources}
