"""Output data are refused where nothing could take them, and carried where a site has the storage that they name."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.rules.attributes import DescriptionError
from schemas.rules.storage import OUTPUT_DATA, refuse_unstorable

STORAGE_ELEMENTS = {"CNIC-USER", "CERN-USER"}


@pytest.mark.parametrize("said", [{"OutputData": ["a.root"]}, {"OutputSE": ["CNIC-USER"]}, {"OutputPath": "/run/1"}])
def test_without_storage_what_would_be_stored_is_refused(said: dict[str, Any]) -> None:
    with pytest.raises(
        DescriptionError, match=r"is for stored data, and no site has a storage element; .* OutputSandbox"
    ) as refused:
        refuse_unstorable(said, set())
    assert refused.value.attribute in OUTPUT_DATA
    refuse_unstorable(said, STORAGE_ELEMENTS)


def test_storage_that_no_site_has_is_named_with_what_there_is() -> None:
    with pytest.raises(DescriptionError, match="OutputSE names CNIC-USERS, which no site has; did you mean CNIC-USER"):
        refuse_unstorable({"OutputSE": ["CERN-USER", "CNIC-USERS"]}, STORAGE_ELEMENTS)
    with pytest.raises(DescriptionError, match="which no site has; there are CERN-USER, CNIC-USER"):
        refuse_unstorable({"OutputSE": ["elsewhere"]}, STORAGE_ELEMENTS)


def test_a_job_that_only_fills_its_sandbox_needs_no_storage() -> None:
    refuse_unstorable({"OutputSandbox": ["a.root"], "OutputData": [], "OutputSE": [], "OutputPath": ""}, set())
