"""The process: listeners, signals, reloads, drain.

Two listeners share one event loop and one cache: the runners' port, and the admin port that outlives its drain.
"""

import asyncio
import contextlib
import errno
import gc
import logging
import os
import resource
import signal
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NoReturn
from urllib.parse import urlsplit

import uvicorn
import uvloop
from starlette.types import ASGIApp

from ecrmint.addresses import Address
from ecrmint.admin import Admin
from ecrmint.app import Live, Runners, open_config, refusal
from ecrmint.audit import STANDARD_OUTPUT, AuditLog
from ecrmint.cache import LoginCache
from ecrmint.errors import ConfigError, EcrmintError, Problem
from ecrmint.minters import Minter
from ecrmint.protocol import BoundedProtocol, Limits, bounded
from ecrmint.reload import Reloader
from ecrmint.schema import Tls
from ecrmint.settings import Config
from ecrmint.telemetry import Metrics

_log = logging.getLogger(__name__)

# Go's clients keep an idle connection for 90 s, and never repeat a POST that meets a closing one (net/http).
KEEP_ALIVE_SECONDS: Final = 120
_ADMIN_CONNECTIONS: Final = 256
_OTHER_FILES: Final = _ADMIN_CONNECTIONS + 128  # listeners, files, the mints' connections
_PROXIES: Final = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")


class ListenError(EcrmintError):
    """A listener that can't be opened."""

    code = "listen"


class _Listener(uvicorn.Server):
    """One listener; the signals are ours, not its."""

    def __init__(self, config: uvicorn.Config, protocol: type[BoundedProtocol]) -> None:
        super().__init__(config)
        self._protocol = protocol
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            self.servers = [await self._open(each) for each in sockets or ()]
            self.started = True
        finally:
            self.listening.set()

    async def _open(self, listening: socket.socket) -> asyncio.Server:
        # uvicorn's own way leaves a TLS handshake a minute, and one under way counts as no connection yet.
        config, protocol = self.config, self._protocol
        seconds = protocol.limits.receive_seconds if config.ssl else None
        return await asyncio.get_running_loop().create_server(
            lambda: protocol(config, self.server_state, {}),
            sock=listening,
            backlog=config.backlog,
            ssl=config.ssl,
            ssl_handshake_timeout=seconds,
            ssl_shutdown_timeout=seconds,
        )

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def run(config: Config) -> None:
    """Serve until SIGTERM or SIGINT, drain, and return. Raises: ListenError."""
    with contextlib.ExitStack() as stack:
        settings = config.settings
        sockets = [stack.enter_context(_bind(address, name)) for address, name in _addresses(config)]
        audit = _open_audit(settings.audit.file)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(config, audit, runners_socket=sockets[0], admin_socket=sockets[1]))


def _addresses(config: Config) -> Sequence[tuple[Address, str]]:
    return ((config.settings.listen, "listen"), (config.settings.admin, "admin"))


def _bind(address: Address, name: str) -> socket.socket:
    """Return a listening socket, for both IP versions where no host is named (uvicorn's ``::`` is IPv6 only)."""
    try:
        if address.host is not None:
            family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
            return socket.create_server((address.host, address.port), family=family, backlog=2048)
        if socket.has_dualstack_ipv6():
            return socket.create_server(("", address.port), family=socket.AF_INET6, backlog=2048, dualstack_ipv6=True)
        return socket.create_server(("", address.port), backlog=2048)
    except OSError as error:
        _explain(error, address, name)


def _explain(error: OSError, address: Address, name: str) -> NoReturn:
    reasons = {
        errno.EADDRINUSE: "another program listens there already",
        errno.EACCES: "this user may not listen there (ports under 1024 need a capability)",
        errno.EADDRNOTAVAIL: "this machine has no such address",
    }
    reason = reasons.get(error.errno or 0, error.strerror or type(error).__name__)
    raise ListenError(f"can't listen on {address} ({name}): {reason}") from None


def _open_audit(path: str) -> AuditLog:
    try:
        return AuditLog(path)
    except OSError as error:
        place = "standard output, for the audit lines" if path == STANDARD_OUTPUT else f"the audit file {path}"
        raise ListenError(f"can't open {place}: {error.strerror}") from None


def _connections(wanted: int) -> int:
    """Return how many connections of runners the limit on open files allows, after raising it as far as we may.

    Many systems start with 1,024, and where no file is left the probes get no answer either.
    """
    needed = wanted + _OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < needed:
        soft = min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft < needed:
        _log.warning("%d open files are allowed here: too few for max_connections, which needs %d", soft, needed)
    return max(1, min(wanted, soft - _OTHER_FILES))


async def _serve(
    config: Config, audit: AuditLog, *, runners_socket: socket.socket, admin_socket: socket.socket
) -> None:
    metrics = Metrics()
    cache = LoginCache(metrics)
    runners = Runners(open_config(config, cache, metrics), metrics=metrics, audit=audit)
    admin = Admin(lambda: runners.live, cache, metrics)
    metrics.config.in_force(config.sha256)
    signals = _Signals()
    limits = Limits(max_connections=_connections(config.settings.max_connections))
    front = _listener(runners, bounded(limits, runners.audit_refusal), config)
    back = _listener(admin.app(), bounded(Limits(max_connections=_ADMIN_CONNECTIONS), refusal), None)
    change = _Change(runners, cache, metrics, front)
    reloader = Reloader(config, os.environ, change.apply, metrics.config)
    signals.on_hangup(reloader.ask)
    async with _running(back, admin_socket), _running(front, runners_socket), _in_background(reloader.run()):
        admin.phase = "serving"
        _spare_collector()
        _announce(config, runners_socket, admin_socket)
        await signals.stop()
        admin.phase = "draining"
        drain = runners.live.config.settings.drain
        front.config.timeout_graceful_shutdown = int(drain.grace)
        # Runners never ask twice: until every load balancer has heard of it, requests are taken (design section 6).
        _log.info("draining: requests are answered for %.0f s more", signals.delay(drain.delay))
        await signals.stop_now(signals.delay(drain.delay))
    await cache.close()
    _log.info("stopped")


def _spare_collector() -> None:
    """Have it look for cycles after 10,000 new objects, not 700, and never at what was made so far.

    Requests leave it none: to look as often as usual costs 5 of 136 µs of each.
    """
    gc.freeze()
    gc.set_threshold(10_000)


@dataclass(frozen=True, slots=True)
class _Change:
    """Puts another configuration to work in the running process."""

    runners: Runners
    cache: LoginCache
    metrics: Metrics
    front: _Listener

    def apply(self, config: Config) -> None:
        """Raises: ConfigError for what only a restart can change; nothing has changed then."""
        before = self.runners.live
        _check_reloadable(before.config, config)
        live = open_config(config, self.cache, self.metrics, before=before)
        if config.settings.tls is not None and self.front.config.ssl is not None:
            _load_certificate(self.front.config.ssl, config.settings.tls)
        self.runners.live = live
        self.cache.retain({name: _kept(name, before, live) for name in live.minters})


def _kept(account: str, before: Live, after: Live) -> Collection[Minter] | None:
    """Return the minters whose logins stay; None: all of the account's, those of single builds among them."""
    minters = after.minters[account]
    return None if before.minters.get(account) == minters else frozenset(minters.values())


def _check_reloadable(before: Config, after: Config) -> None:
    old, new = before.settings, after.settings
    fixed = {
        "listen": old.listen != new.listen,
        "admin": old.admin != new.admin,
        "tls": (old.tls is None) != (new.tls is None),
        "audit.file": old.audit.file != new.audit.file,
        "max_connections": old.max_connections != new.max_connections,
    }
    problems = [Problem(key, "a reload can't change this: restart") for key, changed in fixed.items() if changed]
    if problems:
        raise ConfigError(problems, source=after.source)


@contextlib.asynccontextmanager
async def _in_background(work: Coroutine[None, None, None]) -> AsyncIterator[None]:
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


class _Signals:
    """SIGTERM and SIGINT. A person's SIGINT skips the wait for load balancers, and so does a second signal."""

    def __init__(self) -> None:
        self._stops: asyncio.Queue[signal.Signals] = asyncio.Queue()
        self._first: signal.Signals | None = None
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._stops.put_nowait, number)

    def on_hangup(self, call: Callable[[], None]) -> None:
        """Call this on SIGHUP, which would end the process otherwise."""
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, call)

    async def stop(self) -> None:
        """Wait for the first signal to stop."""
        self._first = await self._stops.get()

    def delay(self, configured_seconds: float) -> float:
        """Return how long requests are still taken after it."""
        return 0.0 if self._first == signal.SIGINT else configured_seconds

    async def stop_now(self, seconds: float) -> None:
        """Wait so long, or for the next signal."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stops.get(), seconds)


def _listener(app: ASGIApp, protocol: type[BoundedProtocol], config: Config | None) -> _Listener:
    """Return a listener: the runners' one has a configuration with TLS and a drain, the admin's has none."""
    settings = config.settings if config else None
    server = _Listener(
        uvicorn.Config(
            app,
            interface="asgi3",
            http=protocol,
            ws="none",
            loop="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=int(settings.drain.grace) if settings else 1,
        ),
        protocol,
    )
    server.config.load()
    if settings and settings.tls:
        server.config.ssl = _tls(settings.tls)
    return server


def _tls(tls: Tls) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        _load_certificate(context, tls)
    except ConfigError as error:
        raise ListenError(error.problems[0].message) from None
    return context


def _load_certificate(context: ssl.SSLContext, tls: Tls) -> None:
    """Use this certificate for every handshake from now on. Raises: ConfigError, and the one before stays."""
    try:
        # First where it harms nobody: a certificate whose key does not fit would be left half loaded.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(tls.cert_file, tls.key_file)
        context.load_cert_chain(tls.cert_file, tls.key_file)
    except (OSError, ssl.SSLError) as error:
        text = f"can't use {tls.cert_file} with {tls.key_file}: {error.strerror or error}"
        raise ConfigError([Problem("tls", text)]) from None


@contextlib.asynccontextmanager
async def _running(listener: _Listener, listening: socket.socket) -> AsyncIterator[None]:
    task = asyncio.create_task(listener.serve(sockets=[listening]))
    await listener.listening.wait()
    if not listener.started:
        await task  # it says why
    try:
        yield
    finally:
        listener.should_exit = True
        await task


def _announce(config: Config, runners_socket: socket.socket, admin_socket: socket.socket) -> None:
    settings = config.settings
    for warning in config.warnings:
        _log.warning("%s", warning)
    for name in _redirections(config, os.environ):
        _log.warning("calls to the cloud go elsewhere: %s", name)
    _log.info("runners: %s%s", _url(runners_socket, tls=settings.tls is not None), settings.path)
    _log.info("admin: %s", _url(admin_socket, tls=False))
    _log.info(
        "configuration %s: accounts %d, rules %d", config.sha256[:12], len(settings.accounts), len(settings.rules)
    )


def _url(listening: socket.socket, *, tls: bool) -> str:
    host, port = listening.getsockname()[:2]
    return f"{'https' if tls else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"


def _redirections(config: Config, environ: Mapping[str, str]) -> list[str]:
    """Return what sends a cloud's calls elsewhere: keys of ``endpoints``, and variables, without their user info."""
    variables = [name for name in environ if name.startswith("AWS_ENDPOINT_URL") or name.upper() in _PROXIES]
    set_keys = config.settings.endpoints.model_fields_set
    return [f"endpoints.{key}" for key in sorted(set_keys)] + [
        f"{name}={_without_userinfo(environ[name])}" for name in sorted(variables)
    ]


def _without_userinfo(value: str) -> str:
    parts = urlsplit(value)
    return f"{parts.scheme}://{parts.hostname}:{parts.port}" if parts.hostname else value
