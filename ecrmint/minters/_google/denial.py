"""What a refusal of Google's says about itself: the permission that is missing, or the API that is off.

Source: google.aip.dev/193, "Errors": google.rpc.ErrorInfo. Of its texts only what is listed here gets into ours.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from ecrmint.minters._google.access_token import json_object
from ecrmint.minters._http import Answer

Reason = Literal["IAM_PERMISSION_DENIED", "SERVICE_DISABLED", "ACCESS_TOKEN_SCOPE_INSUFFICIENT", ""]

_PERMISSION: Final = re.compile(r"\biam\.serviceAccounts\.(?:getAccessToken|implicitDelegation)\b", re.ASCII)
_INFO: Final = "type.googleapis.com/google.rpc.ErrorInfo"
_REASONS: Final[tuple[Reason, ...]] = ("IAM_PERMISSION_DENIED", "SERVICE_DISABLED", "ACCESS_TOKEN_SCOPE_INSUFFICIENT")


@dataclass(frozen=True, slots=True)
class Denial:
    """``reason``: empty where it is not said, or not known here; ``permission``: likewise."""

    reason: Reason = ""
    permission: str = ""


def read_denial(answer: Answer) -> Denial:
    """Return what an answer says."""
    error = json_object(answer).get("error")
    if not isinstance(error, dict):
        return Denial()
    info = next(_infos(error), {})
    found = _PERMISSION.search(f"{info.get('metadata')} {error.get('message')}")
    reason: Reason = next((reason for reason in _REASONS if reason == info.get("reason")), "")
    return Denial(reason, found[0] if found else "")


def _infos(error: Mapping[str, object]) -> Iterator[Mapping[str, object]]:
    details = error.get("details")
    found = (each for each in (details if isinstance(details, list) else ()) if isinstance(each, dict))
    yield from (each for each in found if each.get("@type") == _INFO)  # links to help may come first
