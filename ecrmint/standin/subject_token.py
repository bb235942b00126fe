"""Where a workload fetches its own token from, as a URL-sourced ``credential_source`` names it: as text, or in JSON.

Source: Google IAM docs, "Workload identity federation", URL-sourced credentials; GitHub answers in this JSON.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from starlette.responses import JSONResponse, PlainTextResponse, Response

from ecrmint.standin.cloud import Cloud
from ecrmint.standin.faults import Failure, RefusedError
from ecrmint.standin.oauth_error import THROTTLED, refuse
from ecrmint.standin.operation import Operation

TEXT_PATH: Final = "/subject-token"
JSON_PATH: Final = "/subject-token.json"
FIELD: Final = "value"


def operation(cloud: Cloud, path: str) -> Operation:
    """Return the reading of the workload's token."""
    return Operation("oidc.token", "", path, partial(_read, cloud, _WRITERS[path]), refuse, THROTTLED)


def _read(cloud: Cloud, write: Callable[[str], Response]) -> Response:
    if cloud.subject_token is None:
        raise RefusedError(Failure(404, "not_found", "no workload is known"))
    return write(cloud.subject_token())


def _in_json(token: str) -> Response:
    return JSONResponse({FIELD: token})


_WRITERS: Final[Mapping[str, Callable[[str], Response]]] = {TEXT_PATH: PlainTextResponse, JSON_PATH: _in_json}
