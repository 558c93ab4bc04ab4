"""The GPUs that a job here may use: of NVIDIA and AMD, less those that the batch system has not given."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Optional

from pilot.probe import said, text_of

_ASK = ["nvidia-smi", "--query-gpu=index,uuid,name,memory.total", "--format=csv,noheader,nounits"]
_VISIBLE = ("CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "GPU_DEVICE_ORDINAL")
_ALL = ("all",)
_NONE = ("none", "void", "NoDevFiles", "-1")


def measure(environment: Mapping[str, str], root: Path = Path("/")) -> list[dict[str, Any]]:
    """Each GPU that may be used, with its name and, where it is told, its memory."""
    return visible(_nvidia(root) or _amd(root), environment)


def visible(gpus: list[dict[str, Any]], environment: Mapping[str, str]) -> list[dict[str, Any]]:
    """Those that the environment does not hide."""
    for name in _VISIBLE:
        chosen = _chosen(environment.get(name))
        if chosen is not None:
            # ids of parts of a GPU are in no list: as many as are named, and no more than there are
            known = [gpu for gpu in gpus if str(gpu.get("index")) in chosen or gpu.get("uuid") in chosen]
            parts = [one for one in chosen if not one.isdecimal()]  # a number that is none's is a way to say none
            gpus = known or gpus[: len(parts)]
    return gpus


def parse(text: str) -> list[dict[str, Any]]:
    """GPUs as nvidia-smi tells them, a line for each."""
    found = []
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.split(",")]
        if len(cells) == 4 and cells[0].isdecimal():
            memory = {"memory_mb": int(cells[3])} if cells[3].isdecimal() else {}
            found.append({"index": int(cells[0]), "uuid": cells[1], "name": cells[2], **memory})
    return found


def _chosen(value: Optional[str]) -> Optional[list[str]]:
    """The ids that are named; None when all may be used."""
    if value is None or value in _ALL:
        return None
    return [one.strip() for one in value.split(",") if one.strip() and one.strip() not in _NONE]


def _nvidia(root: Path) -> list[dict[str, Any]]:
    told = parse(said(_ASK)) if root == Path("/") else []
    if told:
        return told
    cards = sorted((root / "proc/driver/nvidia/gpus").glob("*/information"))
    found = []
    for index, card in enumerate(cards):
        name = re.search(r"^Model:\s*(.+)$", text_of(card), re.MULTILINE)
        uuid = re.search(r"^GPU UUID:\s*(\S+)$", text_of(card), re.MULTILINE)
        found.append({"index": index, "uuid": uuid[1] if uuid else "", "name": name[1].strip() if name else "NVIDIA"})
    return found


def _amd(root: Path) -> list[dict[str, Any]]:
    """Cards that compute: the driver's topology has a node for each, and for each processor, which has no SIMD units."""
    if not (root / "dev/kfd").exists():
        return []
    found: list[dict[str, Any]] = []
    for node in sorted((root / "sys/class/kfd/kfd/topology/nodes").glob("*"), key=lambda path: path.name.zfill(4)):
        units = re.search(r"^simd_count (\d+)$", text_of(node / "properties"), re.MULTILINE)
        if units and int(units[1]):
            found.append({"index": len(found), "uuid": "", "name": text_of(node / "name").strip() or "AMD"})
    return found
