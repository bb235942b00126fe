"""Errors of Google's OAuth endpoints, in the shape of RFC 6749, section 5.2."""

from typing import Final

from starlette.responses import JSONResponse, Response

from ecrmint.standin.faults import Failure, RefusedError

THROTTLED: Final = Failure(429, "rate_limit_exceeded", "Too many requests")


def refusal(code: str, description: str) -> RefusedError:
    """Return the refusal of a request for what is wrong with it."""
    return RefusedError(Failure(400, code, description))


def refuse(failure: Failure) -> Response:
    """Write a failure down."""
    return JSONResponse({"error": failure.code, "error_description": failure.message}, failure.status)
