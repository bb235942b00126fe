"""Session tags: what a login says of the build that it is for, to IAM's conditions and to CloudTrail. Pure.

Sources: STS API Reference, AssumeRole (Tags, RoleSessionName); IAM User Guide, "Pass session tags in AWS STS".
"""

import hashlib
import re
from collections.abc import Callable, Mapping
from typing import Final, Literal

from ecrmint.wire import RegistryRequest

TagKey = Literal["repo", "namespace", "event", "build", "trusted"]
Tags = tuple[tuple[TagKey, str], ...]

DROPPED: Final[tuple[TagKey, ...]] = ("build", "event", "trusted")
"""What is left out where STS finds it all too large, the first one first. Never the others: they are who it is for."""

# What `check --live` says, where there is no build: a policy whose conditions ask for other values refuses it.
NO_BUILD: Final = RegistryRequest("ecrmint/check", event="custom")

_LONGEST_VALUE: Final = 256  # characters
_LONGEST_NAME: Final = 64
_DIGITS: Final = 16  # of a hash: 64 bits
# STS takes letters of all scripts; these are what slugs and events have. `=`, which no slug has, marks a hash.
_NOT_IN_VALUES: Final = re.compile(r"[^A-Za-z0-9 _.:/=+@-]", re.ASCII)
_NOT_IN_NAMES: Final = re.compile(r"[^\w+=,.@-]", re.ASCII)


def _namespace(request: RegistryRequest) -> str:
    return request.slug.rpartition("/")[0]


_VALUES: Final[Mapping[TagKey, Callable[[RegistryRequest], str]]] = {
    "repo": lambda request: request.slug,
    "namespace": _namespace,
    "event": lambda request: request.event,
    "build": lambda request: str(request.build),
    "trusted": lambda request: "true" if request.trusted else "false",
}


def session_tags(request: RegistryRequest, keys: tuple[TagKey, ...]) -> Tags:
    """Return the tags of a build."""
    return tuple((key, _fitted(_VALUES[key](request), _NOT_IN_VALUES, _LONGEST_VALUE)) for key in keys)


def smaller(tags: Tags) -> tuple[TagKey, Tags] | None:
    """Return the tag that can best be done without, and the others; None where all are needed."""
    names = dict(tags)
    for dropped in DROPPED:
        if dropped in names:
            return dropped, tuple(tag for tag in tags if tag[0] != dropped)
    return None


def account_session_name(account: str) -> str:
    """Return the name of sessions that all builds share: ``ecrmint-ACCOUNT``, its name in the configuration."""
    return _fitted(f"ecrmint-{account}", _NOT_IN_NAMES, _LONGEST_NAME)


def build_session_name(request: RegistryRequest, keys: tuple[TagKey, ...], *, account: str) -> str:
    """Return the name of a build's session: ``ecrmint-NAMESPACE+NAME``; no slug has a plus, so no two have one name.

    It says no more than the tags do: builds that differ in nothing else share a session.
    """
    if "repo" not in keys and "namespace" not in keys:
        return account_session_name(account)
    whose = request.slug if "repo" in keys else _namespace(request)
    return _fitted(f"ecrmint-{whose.replace('/', '+')}", _NOT_IN_NAMES, _LONGEST_NAME)


def _fitted(text: str, unfit: re.Pattern[str], longest: int) -> str:
    """Return the text where it fits, else what of it does and a hash of all: no two texts become one."""
    fit = unfit.sub("_", text)
    if fit == text and len(text) <= longest:
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]
    return f"{fit[: longest - _DIGITS - 1]}={digest}"
