"""What the observer is told of AWS's calls, by botocore's events: those that its own providers make are seen too.

Source: boto3's guide, "Extensibility guide", and ``botocore/client.py`` for the events of a call.
"""

from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Final

from ecrmint.minters._observer import CloudObserver, seconds_ahead

if TYPE_CHECKING:
    from botocore.hooks import BaseEventHooks

# STS serves every type of account; what is asked of it is nearly always for a private registry.
_PROVIDERS: Final[Mapping[str, str]] = {"ecr-public": "ecr-public"}
_STARTED: Final = "ecrmint_started"


@dataclass(frozen=True, slots=True)
class Watch:
    """Listens to the calls of every client that a session makes."""

    observer: CloudObserver

    def over(self, events: "BaseEventHooks") -> None:
        """Listen to a session's events from now on: its clients take the listeners over when they are made."""
        events.register("before-call", self._started)
        events.register("after-call", self._answered)
        events.register("after-call-error", self._failed)

    def _started(self, *, context: MutableMapping[str, object], **_: object) -> None:
        context[_STARTED] = monotonic()

    def _answered(
        self,
        *,
        parsed: Mapping[str, Mapping[str, object]],
        context: Mapping[str, object],
        event_name: str,
        **_: object,
    ) -> None:
        self._ended(event_name, context)
        headers = parsed.get("ResponseMetadata", {}).get("HTTPHeaders")
        skew = seconds_ahead(headers.get("date")) if isinstance(headers, Mapping) else None
        if skew is not None:
            self.observer.clock_skew(_provider(event_name), skew)

    def _failed(self, *, context: Mapping[str, object], event_name: str, **_: object) -> None:
        self._ended(event_name, context)

    def _ended(self, event_name: str, context: Mapping[str, object]) -> None:
        from botocore import xform_name

        started = context.get(_STARTED)
        if isinstance(started, float):
            operation = event_name.rpartition(".")[2]
            self.observer.call_ended(_provider(event_name), xform_name(operation), monotonic() - started)


def _provider(event_name: str) -> str:
    """Return the type of account for an event such as ``after-call.ecr-public.GetAuthorizationToken``."""
    return _PROVIDERS.get(event_name.split(".")[1], "ecr")
