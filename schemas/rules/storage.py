"""What a job says of its output data, held against the storage elements that the sites have."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

from schemas.rules.attributes import DescriptionError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

OUTPUT_DATA = ("OutputData", "OutputSE", "OutputPath")


def refuse_unstorable(job: Mapping[str, Any], storage_elements: Collection[str]) -> None:
    """Raise DescriptionError when the job wants data stored where no storage, or not the one that it names, is configured."""
    said = next((name for name in OUTPUT_DATA if job.get(name)), None)
    if said is None:
        return
    if not storage_elements:
        raise DescriptionError(
            f"{said} is for stored data, and no site has a storage element; name the files in OutputSandbox", said
        )
    for name in job.get("OutputSE") or ():
        if name not in storage_elements:
            close = difflib.get_close_matches(name, storage_elements, n=1)
            hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(sorted(storage_elements)[:10])}"
            raise DescriptionError(f"OutputSE names {name}, which no site has; {hint}", "OutputSE")
