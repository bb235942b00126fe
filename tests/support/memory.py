"""What the kernel says of a process's memory (proc_pid_status(5))."""

from pathlib import Path


def resident_mib(pid: int) -> float:
    """Return how much of it is resident."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    (line,) = (line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) / 1024
