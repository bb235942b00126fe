"""Tries again where STS could not check a web identity just then: botocore tries one of the two errors twice, and the
other one, which mostly is over a moment later, not at all.

Source: STS API Reference, AssumeRoleWithWebIdentity, Errors.
"""

import random
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from botocore.hooks import BaseEventHooks

_RETRIES: Final = 3
_FIRST_SECONDS: Final = 0.2  # doubled with each, and a random half to a whole of it


def retry_over(events: "BaseEventHooks") -> None:
    """Do so for the clients that a session makes from now on; those inside of botocore's providers are among them."""
    # The stub knows no listener whose return value counts.
    events.register("needs-retry.sts.AssumeRoleWithWebIdentity", _delay)  # type: ignore[arg-type]


def is_transient(code: str, message: str) -> bool:
    """Return whether the token's issuer could not be asked: its keys, not the token, were what was wrong."""
    return code == "IDPCommunicationError" or (
        code == "InvalidIdentityToken" and "retrieve verification key" in message
    )


def _delay(
    *, response: tuple[object, Mapping[str, Mapping[str, object]]] | None, attempts: int, **_: object
) -> float | None:
    """Return the seconds before the next try, None where there is to be none."""
    details = response[1].get("Error", {}) if response else {}
    if attempts > _RETRIES or not is_transient(str(details.get("Code", "")), str(details.get("Message", ""))):
        return None
    return _FIRST_SECONDS * 2.0 ** (attempts - 1) * random.uniform(0.5, 1)  # noqa: S311 - a wait, not a key
