"""The installed ``ecrmint serve`` as a child process, as an operator would start it."""

import json
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from support.process import Process, free_ports

ECRMINT = Path(sys.executable).with_name("ecrmint")  # the console script of this very environment, not of the PATH's
HEAD = """\
listen: 127.0.0.1:{listen}
admin: 127.0.0.1:{admin}
drain: {{delay: {delay}, grace: 1s}}
"""


class Serve:
    """A server that is ready: ``with Serve.start(config, folder) as serve: post(serve.url, ...)``."""

    def __init__(self, process: Process, config: Path, *, listen: int, admin: int) -> None:
        self.process, self.config = process, config
        self.url = f"http://127.0.0.1:{listen}"
        self.admin_url = f"http://127.0.0.1:{admin}"

    @classmethod
    def start(
        cls,
        config: str,
        folder: Path,
        *,
        env: Mapping[str, str] | None = None,
        prefix: Sequence[str] = (),
        drain_delay: str = "0s",
    ) -> Self:
        """Start with that YAML, on free ports (``listen``, ``admin`` and ``drain`` are ours), and wait for /readyz.

        Its environment is PATH and ``env``; ``prefix`` is a command that runs it, such as ``taskset -c 0``.
        """
        listen, admin = free_ports(2)
        file = folder / "ecrmint.yaml"
        file.write_text(HEAD.format(listen=listen, admin=admin, delay=drain_delay) + config, encoding="utf-8")
        serve = cls(
            Process([*prefix, str(ECRMINT), "serve", "--config", str(file)], folder, env=env),
            file,
            listen=listen,
            admin=admin,
        )
        try:
            serve.process.wait_until(serve.is_ready)
        except BaseException:
            serve.process.stop()
            raise
        return serve

    def is_ready(self) -> bool:
        """Ask /readyz."""
        try:
            with urllib.request.urlopen(f"{self.admin_url}/readyz", timeout=5) as answer:  # noqa: S310  # our own URL
                return bool(answer.status == 200)
        except (urllib.error.URLError, ConnectionError):
            return False

    def audit_lines(self, count: int) -> list[dict[str, object]]:
        """Return the audit lines so far, at least ``count``: the last may be written after its answer was read."""
        self.process.wait_until(lambda: len(self._audit_lines()) >= count)
        return self._audit_lines()

    def _audit_lines(self) -> list[dict[str, object]]:
        written = self.process.stdout.read_text(encoding="utf-8")
        complete = written[: written.rfind("\n") + 1]
        return [line for line in map(json.loads, complete.splitlines()) if line["kind"] == "audit"]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.process.stop()
