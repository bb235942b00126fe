"""Ways to spoil an answer, for ``Faults.alter``: a real cloud, or a proxy before it, has given every one of them."""

import json
from collections.abc import Callable

from starlette.responses import HTMLResponse, JSONResponse, Response

Alteration = Callable[[Response], Response]


def fields(**changes: object) -> Alteration:
    """Return what puts values of a JSON object in the place of its own."""
    return lambda response: JSONResponse({**_content(response), **changes}, response.status_code)


def without(*names: str) -> Alteration:
    """Return what leaves fields of a JSON object out."""

    def alter(response: Response) -> Response:
        left = {name: value for name, value in _content(response).items() if name not in names}
        return JSONResponse(left, response.status_code)

    return alter


def page(status: int) -> Alteration:
    """Return what puts a load balancer's page in the place of the answer."""
    text = f"<html><head><title>Error {status}</title></head><body><h1>Error {status}</h1></body></html>"
    return lambda _: HTMLResponse(text, status)


def body(content: bytes) -> Alteration:
    """Return what puts other bytes in the place of the answer's, under the same status and type."""
    return lambda response: Response(content, response.status_code, media_type=response.headers["content-type"])


def _content(response: Response) -> dict[str, object]:
    content: dict[str, object] = json.loads(bytes(response.body))
    return content
