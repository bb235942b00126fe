"""Metrics and logs.

A label's value comes from a closed set or from the configuration, never a slug: anybody can make those up. The names
are those of design section 7.
"""

import json
import logging
import platform
import sys
import time
import traceback
from functools import partial
from types import TracebackType
from typing import Final, Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from ecrmint import __version__
from ecrmint.audit import RequestOutcome, timestamp
from ecrmint.broker import Answer
from ecrmint.cache import Outcome
from ecrmint.errors import MintError
from ecrmint.minters import Minter
from ecrmint.settings import Config
from ecrmint.tokens import HeldLogin, Instant

LogFormat = Literal["json", "text"]

_REQUEST_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25)
_MINT_SECONDS: Final = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_REMAINING_SECONDS: Final = (0, 300, 900, 1800, 3600, 2 * 3600, 4 * 3600, 6 * 3600, 8 * 3600, 10 * 3600, 12 * 3600)
# Their DEBUG lines print credentials, tokens and signed headers (measured with botocore 1.44), httpx2's INFO lines the
# queries of URLs.
_TALKATIVE: Final = {
    **dict.fromkeys(("boto3", "botocore", "s3transfer", "urllib3"), logging.INFO),
    **dict.fromkeys(("httpcore2", "httpx2"), logging.WARNING),
}


class ConfigMetrics:
    """Which configuration is in force, and what became of those that should have been."""

    def __init__(self, registry: CollectorRegistry) -> None:
        gauge = partial(Gauge, registry=registry)
        self._info = gauge("ecrmint_config_info", "The configuration in force.", ["sha256"])
        self._generation = gauge("ecrmint_config_generation", "How many configurations have been in force.")
        self._reloads = Counter("ecrmint_config_reloads", "Tries to reload.", ["result"], registry=registry)
        self._successful = gauge("ecrmint_config_last_reload_successful", "1: the last try to load succeeded.")
        self._success_time = gauge(
            "ecrmint_config_last_reload_success_timestamp_seconds", "When the configuration in force was loaded."
        )
        self._pending = gauge("ecrmint_config_pending", "1: what is on disk is not in force.")

    def in_force(self, sha256: str) -> None:
        """Say which one is in force from now on."""
        self._info.clear()
        self._info.labels(sha256).set(1)
        self._generation.inc()
        self._successful.set(1)
        self._success_time.set_to_current_time()
        self._pending.set(0)

    def reloaded(self, config: Config) -> None:
        """Count a reload that succeeded."""
        self._reloads.labels("success").inc()
        self.in_force(config.sha256)

    def reload_refused(self) -> None:
        """Count one that did not."""
        self._reloads.labels("refused").inc()
        self._successful.set(0)
        self._pending.set(1)


class Metrics:
    """The process's metrics in a registry of their own. Children are looked up once for each set of labels."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = self._counter("requests", "Requests answered.", "outcome", "reason")
        self._durations = self._histogram("request_duration_seconds", "Time to an answer.", _REQUEST_SECONDS, "outcome")
        self._decisions = self._counter("decisions", "What the rules said.", "decision")
        self._mints = self._counter(
            "mints", "Logins asked of a cloud.", "account", "provider", "outcome", "error_class"
        )
        self._mint_durations = self._histogram(
            "mint_duration_seconds",
            "Time of a mint, and of each call to a cloud for it.",
            _MINT_SECONDS,
            "provider",
            "call",
        )
        self._cache_requests = self._counter("cache_requests", "How logins were found.", "account", "kind")
        self._remaining = self._histogram(
            "handout_remaining_seconds",
            "Seconds that a login had left when handed out.",
            _REMAINING_SECONDS,
            "provider",
        )
        self._short = self._counter("short_handouts", "Logins handed out that may not outlive the build.", "account")
        self._expiry = self._gauge("login_expiry_timestamp_seconds", "When the newest login ends.", "account")
        self._dropped_tags = self._counter(
            "session_tags_dropped", "Sessions without this tag, as policy and tags were too large.", "account", "tag"
        )
        self._skew = self._gauge("cloud_clock_skew_seconds", "How far the cloud's clock is ahead of ours.", "provider")
        self.config = ConfigMetrics(self.registry)
        self.requests_in_flight = self._gauge("requests_in_flight", "Requests under way.")
        self.mints_in_flight = self._gauge("mints_in_flight", "Mints under way.")
        self.audit_failures = self._counter("audit_failures", "Audit lines that could not be written.")
        self._gauge("build_info", "This program.", "version", "python").labels(
            __version__, platform.python_version()
        ).set(1)
        # labels() takes 2 µs and a request needs five: each child is looked up once.
        self._request_children: dict[tuple[str, str], tuple[Counter, Histogram]] = {}
        self._handout_children: dict[tuple[str, str], tuple[Counter, Histogram]] = {}
        self._decision_children: dict[str, Counter] = {}

    def request(self, *, outcome: RequestOutcome, reason: str, seconds: float) -> None:
        """Count one request."""
        children = self._request_children.get((outcome, reason))
        if children is None:
            children = (self._requests.labels(outcome, reason), self._durations.labels(outcome))
            self._request_children[outcome, reason] = children
        children[0].inc()
        children[1].observe(seconds)

    def answer(self, answer: Answer, *, now: Instant) -> None:
        """Count what the rules said and how each login was found."""
        reason = answer.decision.reason
        decisions = self._decision_children.get(reason)
        if decisions is None:
            decisions = self._decision_children[reason] = self._decisions.labels(reason)
        decisions.inc()
        for minter, outcome in answer.outcomes:
            self._handout(minter, outcome, now)

    def _handout(self, minter: Minter, outcome: Outcome, now: Instant) -> None:
        children = self._handout_children.get((minter.account, outcome.kind))
        if children is None:
            children = (
                self._cache_requests.labels(minter.account, outcome.kind),
                self._remaining.labels(minter.provider),
            )
            self._handout_children[minter.account, outcome.kind] = children
        children[0].inc()
        if outcome.held is not None:
            children[1].observe(outcome.held.remaining(now))
        if outcome.kind == "short":
            self._short.labels(minter.account).inc()

    def mint_started(self, minter: Minter) -> None:
        """Count a mint under way."""
        self.mints_in_flight.inc()

    def mint_ended(self, minter: Minter, *, seconds: float, result: HeldLogin | MintError) -> None:
        """Count a mint and note when its login ends."""
        self.mints_in_flight.dec()
        self._mint_durations.labels(minter.provider, "mint").observe(seconds)
        if isinstance(result, MintError):
            self._mints.labels(minter.account, minter.provider, "failure", result.code).inc()
            return
        self._mints.labels(minter.account, minter.provider, "success", "").inc()
        if result.login.expires_at is not None:
            self._expiry.labels(minter.account).set(result.login.expires_at)

    def call_ended(self, provider: str, call: str, seconds: float) -> None:
        """Note how long one call to a cloud took."""
        self._mint_durations.labels(provider, call).observe(seconds)

    def tags_dropped(self, account: str, tag: str) -> None:
        """Count a session that got none of this tag."""
        self._dropped_tags.labels(account, tag).inc()

    def clock_skew(self, provider: str, seconds: float) -> None:
        """Note how far the cloud's clock is ahead of ours."""
        self._skew.labels(provider).set(seconds)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"ecrmint_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"ecrmint_{name}", text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(f"ecrmint_{name}", text, labels, registry=self.registry, buckets=buckets)


class _Formatter(logging.Formatter):
    """Shows where an exception came from and its type, never its text: a cloud's SDK puts live tokens in those."""

    def formatException(self, ei: object) -> str:
        match ei:
            case (type() as kind, _, TracebackType() as trace):
                return "".join(traceback.format_tb(trace)) + kind.__name__
        return "no exception"


class _JsonFormatter(_Formatter):
    """One JSON object a line, of named fields only: an SDK's extras can hold live tokens."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": timestamp(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line)


class _TextFormatter(_Formatter):
    """For a person at a terminal."""

    converter = staticmethod(time.gmtime)

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(message)s", datefmt="%H:%M:%S")

    def format(self, record: logging.LogRecord) -> str:
        # A slug or header in a message must not start a line of its own.
        return super().format(record).replace("\r", "\\r") if record.exc_info else _one_line(super().format(record))


def _one_line(text: str) -> str:
    return text.replace("\r", "\\r").replace("\n", "\\n")


def configure_logging(*, log_format: LogFormat, level: str) -> None:
    """Send all logs to standard error, in one shape; standard output is the audit's."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonFormatter() if log_format == "json" else _TextFormatter())
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    # Its warnings say less than the audit line of the same request, and advise to install what we leave out.
    logging.getLogger("uvicorn").setLevel(logging.ERROR)
    for name, quiet in _TALKATIVE.items():
        logging.getLogger(name).setLevel(max(quiet, logging.getLogger().level))
