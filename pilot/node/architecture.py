"""What a program that runs here finds: system, processor, C library, kernel."""

from __future__ import annotations

import platform
import re
from pathlib import Path
from typing import Any

from pilot.probe import text_of

# What the x86-64 psABI asks of a processor at each level, by the kernel's names.
_LEVELS = (
    ("x86-64-v2", {"cx16", "lahf_lm", "popcnt", "sse4_1", "sse4_2", "ssse3"}),
    ("x86-64-v3", {"avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe", "xsave"}),
    ("x86-64-v4", {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"}),
)


def measure(root: Path = Path("/")) -> dict[str, Any]:
    """The architecture under the names of `described`."""
    processor = text_of(root / "proc/cpuinfo")
    model = re.search(r"^(?:model name|Processor|cpu model)\s*:\s*(.+)$", processor, re.MULTILINE)
    library, version = platform.libc_ver()
    return {
        "platform": platform_name(),
        "machine": platform.machine(),
        "microarchitecture": level(platform.machine(), processor),
        "processor": model[1].strip()[:128] if model else "unknown",
        "system": system(root / "etc/os-release"),
        "kernel": platform.release(),
        "libc": f"{library or 'libc'}-{version or 'unknown'}",
        "python": platform.python_version(),
    }


def platform_name() -> str:
    """The platform as DIRAC writes it: Linux_x86_64_glibc-2.36."""
    library, version = platform.libc_ver()
    return f"{platform.system()}_{platform.machine()}_{library or 'libc'}-{version or 'unknown'}"


def level(machine: str, processor: str) -> str:
    """The highest level whose instructions, and those of all below, the processor has; its plain name when it has no levels."""
    if machine != "x86_64":
        return machine
    found = re.search(r"^flags\s*:\s*(.+)$", processor, re.MULTILINE)
    flags = set(found[1].split()) if found else set()
    reached = "x86-64"
    for name, wanted in _LEVELS:
        if not wanted <= flags:
            break
        reached = name
    return reached


def system(release: Path) -> str:
    """The system's name for people, such as Debian GNU/Linux 12 (bookworm)."""
    names = re.findall(r'^PRETTY_NAME="?([^"\n]*)"?$', text_of(release), re.MULTILINE)
    return names[0] if names else platform.system()
