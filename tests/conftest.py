"""What holds for every test: no way out of this machine, one event loop, and a word about what was left out.

A file that starts a stand-in cloud, its ``server``, shares here how each test gets it clean, and a key to it.
"""

from collections import Counter
from collections.abc import Generator, Iterator

import pytest
from support.boto import Key, used
from support.fence import put_up_fence
from support.standin import USER, cleaned

from ecrmint.standin.cloud import Cloud
from ecrmint.standin.server import StandinServer

put_up_fence()


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def cloud(server: StandinServer) -> Iterator[Cloud]:
    with cleaned(server.cloud) as cloud:
        yield cloud


@pytest.fixture
def key(cloud: Cloud) -> Key:
    return used(cloud.add_key(USER))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> Generator[None, None, None]:
    """Say which parts did not run here, and why: the run's last word before pytest's own."""
    yield
    skipped = (report.longrepr for report in terminalreporter.getreports("skipped"))
    reasons = Counter(longrepr[2].removeprefix("Skipped: ") for longrepr in skipped if isinstance(longrepr, tuple))
    for reason, count in sorted(reasons.items()):
        terminalreporter.write_line(f"left out here: {reason} ({count} test{'s' * (count > 1)})", yellow=True)
