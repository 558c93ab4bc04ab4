"""How large the pilot's zip is, and how long it takes until it works: `python -m tests.bench.pilot_start [PYTHON…]`."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from deploy.pilot_zip import build

_TIMES = 5


def measure_start(archive: Path, python: str = sys.executable, times: int = _TIMES) -> dict[str, float]:
    """The zip's size in KiB, and the median of the milliseconds from its start to its end when it only says its version."""
    taken_ms = []
    for _ in range(times):
        began = time.perf_counter()
        subprocess.run([python, "-I", str(archive), "--version"], env={}, capture_output=True, check=True, timeout=60)
        taken_ms.append((time.perf_counter() - began) * 1000)
    return {"zip_kib": round(archive.stat().st_size / 1024, 1), "start_ms": round(statistics.median(taken_ms), 1)}


def main() -> None:
    """Print both for each Python that is named, or for this one."""
    with tempfile.TemporaryDirectory(prefix="pilotbus-") as folder:
        archive = Path(folder) / "pilot.pyz"
        build(archive)
        for python in sys.argv[1:] or [sys.executable]:
            figures = measure_start(archive, python)
            print(f"{python}: {figures['zip_kib']} KiB, starts in {figures['start_ms']} ms")


if __name__ == "__main__":
    main()
