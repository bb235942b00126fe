"""The admin port: probes and metrics. It has no secrets, and runners never ask it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Literal

from prometheus_client.exposition import choose_encoder
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from ecrmint.app import Live
from ecrmint.cache import LoginCache
from ecrmint.errors import MintError
from ecrmint.minters import Minter
from ecrmint.telemetry import Metrics

Phase = Literal["starting", "serving", "draining"]
_NO_STORE = {"cache-control": "no-store"}


@dataclass(slots=True)
class Admin:
    """What the admin port shows. ``live`` gives the configuration in force, ``phase`` is set by the server."""

    live: Callable[[], Live]
    cache: LoginCache
    metrics: Metrics
    phase: Phase = "starting"

    def app(self) -> Starlette:
        """Return the ASGI app."""
        return Starlette(
            routes=[
                Route("/healthz", self._healthz),
                Route("/readyz", self._readyz),
                Route("/metrics", self._metrics_page),
            ]
        )

    async def _healthz(self, request: Request) -> Response:
        return PlainTextResponse("ok\n", headers=_NO_STORE)

    async def _readyz(self, request: Request) -> Response:
        if self.phase != "serving":
            return JSONResponse({"status": self.phase}, HTTPStatus.SERVICE_UNAVAILABLE, headers=_NO_STORE)
        live = self.live()
        accounts = {name: self._account(minters) for name, minters in live.minters.items()}
        # One broken account must not take the others' pod out of service: degraded is still ready.
        status = "ready" if all(state in ("ok", "unused") for state in accounts.values()) else "degraded"
        body = {"status": status, "config": live.config.sha256, "accounts": accounts}
        return JSONResponse(body, headers=_NO_STORE)

    def _account(self, minters: Mapping[str, Minter]) -> str:
        """Return ``ok``, ``unused`` (nothing minted yet), or the code of the last mint's error."""
        for minter in minters.values():
            # Builds with logins of their own come and go: of theirs only the last one tells how the account is.
            failed = self.cache.last(minter.account) if minter.per_build else self.cache.failure(minter)
            if isinstance(failed, MintError):
                return failed.code
        return "ok" if any(self.cache.last(minter.account) for minter in minters.values()) else "unused"

    async def _metrics_page(self, request: Request) -> Response:
        # Prometheus' text format or OpenMetrics, as the Accept header asks.
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(self.metrics.registry), headers=_NO_STORE | {"content-type": content_type})
