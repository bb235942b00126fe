"""Walks every account as a build's login would go: who we are, as whom we act, the login, each registry's answer.

One walk for each login, some at one time, each in a thread of its own that nobody waits for past its deadline: a name
server that hangs can't be interrupted.
"""

import re
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from queue import Empty, Queue
from threading import Thread
from typing import Final

from ecrmint.errors import CloudError, LoginRefusedError, MintError, MintTimeoutError
from ecrmint.minters import Minter, Resources
from ecrmint.minters._http import Http
from ecrmint.minters._observer import SilentObserver
from ecrmint.registry import Registry
from ecrmint.settings import Config
from ecrmint.tokens import Instant, Login, hold

SECONDS: Final = 30.0  # for one walk
AT_ONCE: Final = 8
_REGISTRY_SECONDS: Final = 10.0  # for one registry
_FAILED_STEP: Final = {"no_identity": "identity", "trust_denied": "trust", "tag_session_denied": "trust"}
_IDENTITY: Final = re.compile(r"arn:aws[a-z-]*:(?:iam|sts)::[^\s,]+|[^\s,]+@[^\s,]+", re.ASCII)
_CLOCK_SECONDS: Final = 60.0  # off by less is no news

Failure = MintError | LoginRefusedError


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a walk, and what came of it."""

    name: str
    ok: bool
    detail: str


@dataclass(frozen=True, slots=True, eq=False)
class Walk:
    """One login of an account, and the registries that it is for."""

    account: str
    minter: Minter
    registries: tuple[Registry, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """What a walk came to. ``error``: why there is no login; ``hosts``: each registry's answer, None for a yes."""

    walk: Walk
    steps: tuple[Step, ...] = ()
    error: Failure | None = None
    hosts: Mapping[str, Failure | None] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether every registry took the login."""
        return self.error is None and not any(self.hosts.values())

    @property
    def caller(self) -> str:
        """As whom the last step was made, by ARN or email; empty where no step told."""
        steps = reversed([step for step in self.steps if step.ok and step.name != "login"])
        found = next(filter(None, (_IDENTITY.findall(step.detail) for step in steps)), [""])
        # "pull, by ci" is what we would have become, and who was refused; a service account may be its own, too.
        return next((each for each in found if each != getattr(self.error, "target", None)), found[0])


class Clocks(SilentObserver):
    """Notes how far ahead of ours each cloud's clock is, in seconds, where that is worth saying."""

    def __init__(self) -> None:
        self.ahead: dict[str, float] = {}

    def clock_skew(self, provider: str, seconds: float) -> None:
        """Note it."""
        if abs(seconds) > _CLOCK_SECONDS:
            self.ahead[provider] = seconds


def walks(config: Config, clocks: Clocks) -> Iterator[Walk]:
    """Yield the walks of a configuration, in the order of its accounts and their registries. No I/O."""
    settings = config.settings
    resources = Resources.watched(clocks, endpoints=settings.endpoints, secrets=config.secrets)
    addresses = settings.endpoints.registries
    for name, account in settings.accounts.items():
        logins: dict[Minter, list[Registry]] = {}
        for host, minter in account.minters(name, resources).items():
            logins.setdefault(minter, []).append(Registry(host, addresses.get(host)))
        # A login of builds' own is tried as one that the configuration itself says may have it.
        build = next((test.build() for test in settings.tests if name in test.grants), None)
        for minter, hosts in logins.items():
            yield Walk(name, minter.for_build(build) if build else minter, tuple(hosts))


def follow(
    planned: Sequence[Walk],
    *,
    seconds: float = SECONDS,
    at_once: int = AT_ONCE,
    ended: Callable[[int], None] = lambda done: None,
) -> list[Report]:
    """Do the walks and return their reports in the same order; ``ended`` is told how many there are so far."""
    waiting, running = deque(planned), dict[Walk, _Diary]()
    reports: dict[Walk, Report] = {}
    arrived: Queue[Walk] = Queue()
    while waiting or running:
        while waiting and len(running) < at_once:
            diary = _Diary(waiting.popleft(), time.monotonic() + seconds)
            running[diary.walk] = diary
            Thread(target=diary.write, args=(arrived,), name=f"check {diary.walk.account}", daemon=True).start()
        with suppress(Empty):
            walk = arrived.get(timeout=max(0.0, min(diary.deadline for diary in running.values()) - time.monotonic()))
            if walk in running:  # else it was given up before
                reports[walk] = running.pop(walk).report()
        for walk in [walk for walk, diary in running.items() if diary.deadline <= time.monotonic()]:
            reports[walk] = running.pop(walk).given_up(seconds)
        ended(len(reports))
    return [reports[walk] for walk in planned]


@dataclass(slots=True)
class _Diary:
    """One walk under way. Its thread writes; a report is what stands in it by then."""

    walk: Walk
    deadline: float
    _steps: list[Step] = field(default_factory=list)
    _hosts: dict[str, Failure | None] = field(default_factory=dict)
    _error: Failure | None = None

    def write(self, arrived: "Queue[Walk]") -> None:
        try:
            self._go()
        except MintError as error:
            self._error = error.with_traceback(None)  # its frames hold the cloud's answer
        except Exception as error:
            self._error = CloudError(f"the check failed with {type(error).__name__}", hint="a fault of ecrmint's")
        finally:
            arrived.put(self.walk)

    def report(self) -> Report:
        steps, error = tuple(self._steps), self._error
        if error is not None:
            steps = (*steps, Step(_FAILED_STEP.get(error.code, "login"), ok=False, detail=str(error)))
        return Report(self.walk, steps, error, dict(self._hosts))

    def given_up(self, seconds: float) -> Report:
        late = MintTimeoutError(f"not done after {seconds:g} s", hint="look at DNS first, then at the network's rules")
        told = self.report()
        if told.error is not None:
            return told
        if "login" not in (step.name for step in told.steps):
            return replace(told, steps=(*told.steps, Step("login", ok=False, detail=str(late))), error=late)
        asked = {registry.host: told.hosts.get(registry.host, late) for registry in self.walk.registries}
        return replace(told, hosts=asked)

    def _go(self) -> None:
        started = Instant(time.time(), time.monotonic())
        login = self.walk.minter.walk(self._tell)
        life = hold(login, issued=started, roll=0).life
        self._tell("login", f"{login.username}, {_lasting(life)}")
        for registry in self.walk.registries:
            self._hosts[registry.host] = _answer_of(registry, login)

    def _tell(self, name: str, detail: str) -> None:
        self._steps.append(Step(name, ok=True, detail=detail))


def _answer_of(registry: Registry, login: Login) -> Failure | None:
    calls = Http().within(_REGISTRY_SECONDS)
    try:
        registry.prove(login, calls)
    except (MintError, LoginRefusedError) as error:
        return error.with_traceback(None)
    return None


def _lasting(seconds: float) -> str:
    if seconds == float("inf"):
        return "does not end"
    hours, minutes = divmod(int(seconds // 60), 60)
    return f"ends in {hours} h {minutes} min" if hours else f"ends in {minutes} min"
