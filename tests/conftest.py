"""What holds for every test: no way out of this machine, one event loop, and a word about what was left out."""

from collections import Counter

import pytest
from support.fence import put_up_fence
from support.parts import LEFT_OUT

put_up_fence()


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say which parts did not run here, and why: the run's last word before pytest's own."""
    skipped = (report.longrepr for report in terminalreporter.getreports("skipped"))
    texts = (longrepr[2] for longrepr in skipped if isinstance(longrepr, tuple))
    reasons = Counter(text.partition(LEFT_OUT)[2] for text in texts if LEFT_OUT in text)
    for reason, count in sorted(reasons.items()):
        terminalreporter.write_line(f"left out here: {reason} ({count} tests)", yellow=True)
