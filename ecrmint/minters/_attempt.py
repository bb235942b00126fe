"""The boundary to foreign code: whatever it raises becomes a MintError that knows nothing of what that one knew."""

from collections.abc import Callable
from typing import TypeVar

from ecrmint.errors import MintError

_T = TypeVar("_T")


def attempt(call: Callable[[], _T], explain: Callable[[Exception], MintError]) -> _T:
    """Return what the call returns. Raises: MintError; a foreign exception becomes what ``explain`` makes of it."""
    try:
        return call()
    except MintError:
        raise
    except Exception as error:
        failure = explain(error)
    # Not in the handler: what the foreign exception holds, a token perhaps, is not even this one's context.
    raise failure
