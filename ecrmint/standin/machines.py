"""Which role a pod, a task or an instance of AWS's has: what its machine's own endpoint gives credentials of."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field

from ecrmint.tokens import Secret

TASK_ROOT = "/v2/credentials/"


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod with an EKS Pod Identity association. ``tags``: of its sessions, and of those of all roles after it."""

    role: str  # its ARN
    tags: Mapping[str, str]


@dataclass(slots=True)
class Machines:
    """Every machine that has a role. Roles are named by their ARNs, and exist in the same cloud."""

    pods: dict[Secret, Pod] = field(default_factory=dict)  # by the token that it shows
    tasks: dict[str, str] = field(default_factory=dict)  # roles, by the path that they are asked at
    instance_role: str = ""  # "" for none
    instance_tokens: dict[Secret, float] = field(default_factory=dict)  # IMDSv2's, and when each ends

    def add_pod(self, role: str, *, tags: Mapping[str, str] | None = None) -> str:
        """Give a new pod that role, and return the token for its AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE."""
        token = secrets.token_urlsafe(600)
        self.pods[Secret(token)] = Pod(role, tags or {})
        return token

    def add_task(self, role: str) -> str:
        """Give a new ECS task that role, and return its AWS_CONTAINER_CREDENTIALS_RELATIVE_URI."""
        path = f"{TASK_ROOT}{secrets.token_hex(16)}"
        self.tasks[path] = role
        return path
