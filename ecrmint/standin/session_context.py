"""What a role's session carries beside its role: a policy that narrows it, tags, the identity behind it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from ecrmint.standin.iam_policy import Policy


@dataclass(frozen=True, slots=True)
class SessionContext:
    """Policy, tags and source identity of a session, as AssumeRole was given them or the calling session had them."""

    policy: Policy | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    transitive: frozenset[str] = frozenset()  # keys of the tags that go on to the next role's session
    source_identity: str = ""

    @property
    def inherited(self) -> Mapping[str, str]:
        """The tags that go on."""
        return {key: self.tags[key] for key in self.transitive}

    @property
    def size(self) -> int:
        """Characters of policy and tags. AWS compresses them first: this is what tests can reckon with."""
        policy = 0 if self.policy is None else len(self.policy.text)
        return policy + sum(len(key) + len(value) for key, value in self.tags.items())
