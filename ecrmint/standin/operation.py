"""One call to the stand-in cloud, from arrival to answer: recorded, delayed, failed on demand, or performed."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from starlette.responses import Response

from ecrmint.standin.cloud import Cloud
from ecrmint.standin.faults import Api, Call, Failure, Faults, RefusedError


@dataclass(frozen=True, slots=True)
class Operation:
    """A call that was understood. ``perform`` does it or raises RefusedError; ``refuse`` writes a failure down."""

    api: Api
    caller: str
    target: str
    perform: Callable[[], Response]
    refuse: Callable[[Failure], Response]
    throttled: Failure


def unknown(target: str, caller: str, refuse: Callable[[Failure], Response]) -> Operation:
    """Return the operation that refuses loudly: new calls of a client must not pass its tests by a lucky 404."""
    failure = Failure(501, "NotImplemented", f"the stand-in cloud does not know {target}")

    def perform() -> Response:
        raise RefusedError(failure)

    return Operation("unknown", caller, target, perform, refuse, failure)


async def run(cloud: Cloud, operation: Operation) -> Response:
    """Record the call and answer it, with the faults that are set for its API."""
    cloud.calls.append(Call(operation.api, operation.caller, operation.target))
    faults = cloud.faults[operation.api]
    try:
        await asyncio.sleep(faults.latency)
        _fail(operation, faults)
        response = operation.perform()
    except RefusedError as refused:
        response = operation.refuse(refused.failure)
    except asyncio.CancelledError:
        # The server ends: nobody waits for a long latency to pass.
        response = operation.refuse(Failure(503, "Unavailable", "the stand-in cloud was stopped"))
    if faults.alter is not None:
        response = faults.alter(response)
    return _halved(response) if faults.truncated else response


def _fail(operation: Operation, faults: Faults) -> None:
    if faults.throttles > 0:
        faults.throttles -= 1
        raise RefusedError(operation.throttled)
    if faults.next_errors:
        raise RefusedError(faults.next_errors.pop(0))
    if faults.error is not None:
        raise RefusedError(faults.error)


def _halved(response: Response) -> Response:
    body = bytes(response.body)
    # All headers but the length, which Response writes anew: half an answer must not hang its reader.
    headers = {name: value for name, value in response.headers.items() if name != "content-length"}
    return Response(body[: len(body) // 2], response.status_code, headers)
