"""An image for apptainer, as small as one can be: empty folders, and the node's /usr bound in."""

from __future__ import annotations

import json
from pathlib import Path

BINDS = ["/usr"]


def make_image(folder: Path) -> Path:
    """The image, in a new folder that everybody can reach."""
    image = folder / "image"
    for name in ("usr", "proc", "sys", "dev", "tmp", "var/tmp", "etc", "root"):
        (image / name).mkdir(parents=True, mode=0o755)
    for name in ("bin", "sbin", "lib", "lib64"):
        (image / name).symlink_to(f"usr/{name}")
    for name in ("passwd", "group"):
        (image / "etc" / name).touch()
    return image


def flags_for(level: str, folder: Path) -> list[str]:
    """The pilot's flags for this level of isolation, with an image in this folder where it wants one."""
    if level != "apptainer":
        return ["--isolation", level]
    told = folder / "image.json"
    told.write_text(json.dumps({"container_binds": BINDS}))
    return ["--isolation", level, "--container-image", str(make_image(folder)), "--config", str(told)]
