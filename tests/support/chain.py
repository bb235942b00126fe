"""Everything that an exception could tell a log: for tests that plant a canary and look for it."""

import traceback
from collections.abc import Iterator


def told(error: BaseException) -> str:
    """Return the texts of an exception and of all that are chained to it, shown or not."""
    return "\n".join(
        part
        for each in _chain(error)
        for part in (str(each), repr(each), repr(each.args), repr(vars(each)), *traceback.format_exception(each))
    )


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    if error is not None:
        yield error
        yield from _chain(error.__cause__)
        yield from _chain(error.__context__)
