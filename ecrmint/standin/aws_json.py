"""The JSON 1.1 protocol of AWS's services: their codes for common failures, and the shape of every answer.

Source: the pages "Common errors" of the API references of Amazon ECR and ECR Public.
"""

from typing import Final

from starlette.responses import JSONResponse, Response

from ecrmint.standin.aws import Codes
from ecrmint.standin.faults import Failure

CODES: Final[Codes] = {
    "unsigned": (400, "MissingAuthenticationTokenException"),
    "unknown_key": (400, "UnrecognizedClientException"),
    "bad_signature": (400, "InvalidSignatureException"),
    "expired": (400, "ExpiredTokenException"),
    "denied": (400, "AccessDeniedException"),
    "throttled": (400, "ThrottlingException"),
    "invalid": (400, "InvalidParameterException"),
}


def answer(content: object) -> Response:
    """Return a good answer."""
    return _json(200, content)


def refuse(failure: Failure) -> Response:
    """Return an error answer."""
    return _json(failure.status, {"__type": failure.code, "message": failure.message})


def _json(status: int, content: object) -> Response:
    return JSONResponse(content, status, media_type="application/x-amz-json-1.1")
