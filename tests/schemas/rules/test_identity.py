"""identity: a pilot's account and its id name each other, and no person's account is taken for a pilot's."""

from __future__ import annotations

from schemas.rules.identity import pilot_account, pilot_of


def test_a_pilot_and_its_account_name_each_other() -> None:
    assert pilot_of(pilot_account("1f0e-7c52")) == "1f0e-7c52"


def test_a_person_is_no_pilot() -> None:
    assert pilot_of("ada") is None
    assert pilot_of("pilotbus") is None
