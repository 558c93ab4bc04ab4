"""older: calendar versions by their numbers, and what is no version is older than any."""

from __future__ import annotations

import pytest

from pilot.version import older


@pytest.mark.parametrize(
    ("version", "least", "is_older"),
    [
        ("2026.1.0", "2026.1.0", False),
        ("2026.1", "2026.1.0", False),
        ("2026.1.9", "2026.1.10", True),
        ("2025.12.0", "2026.1.0", True),
        ("2026.2.0", "2026.1.9", False),
        ("nonsense", "2026.1.0", True),
        ("2026.1.0", "nonsense", False),
    ],
)
def test_versions_are_numbers_and_no_texts(version: str, least: str, is_older: bool) -> None:
    assert older(version, least) is is_older
