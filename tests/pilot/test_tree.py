"""tree: no folder is too deep to be measured or removed."""

from __future__ import annotations

import os
from pathlib import Path

from pilot import tree


def test_a_folder_of_thousands_of_levels_is_measured_and_goes(tmp_path: Path) -> None:
    folder, here = tmp_path / "deep", os.open(".", os.O_RDONLY)
    folder.mkdir()
    (folder / "file").write_bytes(b"x" * 8192)
    try:
        os.chdir(folder)
        for _ in range(3000):
            os.mkdir("a")  # noqa: PTH102 - a path would be too long
            os.chdir("a")
    finally:
        os.fchdir(here)
        os.close(here)
    assert tree.size_bytes(folder) >= 8192
    tree.remove(folder)
    assert not folder.exists()
