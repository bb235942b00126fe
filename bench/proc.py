"""What the kernel says of a process's time (proc_pid_stat(5))."""

import os
from pathlib import Path

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """Return the time that it has run so far, in its own code and in the kernel for it."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    user, system = fields[11:13]  # the 14th and 15th field; the name, which may hold spaces, ends the second
    return (int(user) + int(system)) / _TICKS_PER_SECOND
