"""What all Google accounts share, beside the HTTP clients. A reload may keep it."""

from dataclasses import dataclass, field

from ecrmint.minters._google.self_impersonation import Refusals
from ecrmint.minters._google.shared_tokens import SharedTokens


@dataclass(slots=True, eq=False)
class Google:
    """For any thread; nothing of it is part of a login's key."""

    tokens: SharedTokens = field(default_factory=SharedTokens)
    refusals: Refusals = field(default_factory=Refusals)
