"""Asks again where an API says that it may help: too many calls, or a fault of its own. Within a mint's deadline.

Source: google.aip.dev/194, "Automatic retry configuration"; google-auth asks STS and the IAM Credentials API only once.
"""

import random
from collections.abc import Callable
from time import sleep
from typing import Final

from ecrmint.errors import UnreachableError
from ecrmint.minters._http import Answer, Calls

_PAUSES: Final = (0.25, 1.0)  # seconds before the second and the third call, half as much again or half of it
_TRANSIENT: Final = frozenset({429, 500, 502, 503, 504})


def persistently(ask: Callable[[], Answer], calls: Calls, *, unreachable: bool = False) -> Answer:
    """Return the first answer that is final, or the last. ``unreachable``: ask again where nobody listened, too.

    Raises: MintError, what ``ask`` raises last.
    """
    for pause in _PAUSES:
        try:
            answer = ask()
        except UnreachableError:
            if not unreachable or not _pause(pause, calls):
                raise
            continue
        if answer.status not in _TRANSIENT or not _pause(pause, calls):
            return answer
    return ask()


def _pause(seconds: float, calls: Calls) -> bool:
    """Wait, and say whether: no call is worth making that would be cut off."""
    jittered = seconds * (0.5 + random.random())  # noqa: S311 - spreads calls, hides nothing
    if calls.left() < 2 * jittered:
        return False
    sleep(jittered)
    return True
