"""An IAM policy document, as far as session policies use them: effects, actions and resources with wildcards.

Source: AWS IAM User Guide, "IAM JSON policy elements reference" and "Policy evaluation logic".
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from ecrmint.standin.faults import Failure, RefusedError

MALFORMED: Final = Failure(400, "MalformedPolicyDocument", "Syntax errors in policy.")


def _as_list(value: object) -> object:
    return value if isinstance(value, list) else [value]


_Texts = Annotated[list[str], BeforeValidator(_as_list)]


class Statement(BaseModel):
    """One statement: names are those of the document."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    Sid: str = ""
    Effect: Literal["Allow", "Deny"]
    Action: _Texts
    Resource: _Texts

    def covers(self, action: str, resource: str) -> bool:
        """Say whether it is about that: actions in any case, resources as they are written."""
        actions = [pattern.lower() for pattern in self.Action]
        return _matches(actions, action.lower()) and _matches(self.Resource, resource)


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    Version: Literal["2012-10-17", "2008-10-17"] = "2008-10-17"
    Id: str = ""
    Statement: Annotated[list[Statement], BeforeValidator(_as_list)]


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy's text and what it says."""

    text: str
    statements: tuple[Statement, ...]

    def allows(self, action: str, resource: str) -> bool:
        """Say whether a statement allows the action on that ARN, and none denies it."""
        return {part.Effect for part in self.statements if part.covers(action, resource)} == {"Allow"}


def parse(text: str) -> Policy:
    """Return the policy of a JSON text. Raises: RefusedError, 501 for an element that is not known here."""
    try:
        document = _Document.model_validate_json(text)
    except ValidationError as error:
        for detail in error.errors(include_input=False):
            if detail["type"] == "extra_forbidden":
                element = detail["loc"][-1]
                raise RefusedError(
                    Failure(501, "NotImplemented", f"the stand-in cloud does not know the policy element {element}")
                ) from None
        raise RefusedError(MALFORMED) from None
    return Policy(text, tuple(document.Statement))


def _matches(patterns: Sequence[str], text: str) -> bool:
    return any(map(partial(wildcard_match, text=text), patterns))


def wildcard_match(pattern: str, text: str) -> bool:
    """Say whether the whole text is matched by ``*`` (any, also ``/`` and ``:``) and ``?`` (one), as in StringLike."""
    return re.fullmatch(re.escape(pattern).replace(r"\*", ".*").replace(r"\?", "."), text, re.DOTALL) is not None
