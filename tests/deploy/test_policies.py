"""A policy is a file of an extension: found by its name, tried before anything starts, and refused in one sentence."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bus.settings import Settings
from deploy.policies import policies
from deploy.start import hands_of
from deploy.verbs.common import USAGE, Failure
from handlers.match.turns import Turns
from schemas.rules.shares import HOUSE
from tests.schemas.rules.farm import DAY_S, Farm, Group, groups_worst_percent

EXAMPLE = Path(__file__).resolve().parents[1] / "example_extension"


def test_the_house_decides_and_nothing_is_in_its_shadow_until_somebody_names_another() -> None:
    assert policies(Settings(extensions=str(EXAMPLE))) == (HOUSE, None)


def test_an_extension_replaces_the_score_or_puts_another_in_its_shadow() -> None:
    chosen, shadow = policies(Settings(extensions=str(EXAMPLE), share_policy="no_history"))
    assert (chosen.name, shadow) == ("no_history", None)
    assert chosen.score(8, 1e9, 1000) == chosen.score(8, 0.0, 1000) == 0.008
    chosen, shadow = policies(Settings(extensions=str(EXAMPLE), share_shadow="no_history"))
    assert chosen == HOUSE
    assert shadow is not None
    assert shadow.name == "no_history"


def test_the_services_score_by_the_policy_that_is_set_or_do_not_start() -> None:
    told = Settings(extensions=str(EXAMPLE), share_policy="no_history", operators="root")
    assert hands_of(told, None, None)["share.query"].policy.name == "no_history"
    with pytest.raises(Failure, match="there is no_history"):
        hands_of(Settings(extensions=str(EXAMPLE), share_policy="no_histroy"), None, None)


def test_the_example_gives_nothing_back_to_who_was_away_and_the_house_does() -> None:
    _, forgetful = policies(Settings(extensions=str(EXAMPLE), share_shadow="no_history"))
    assert forgetful is not None
    groups = {"away": Group(away=(0.0, 5 * DAY_S)), "there": Group()}
    far = {}
    for policy in (HOUSE, forgetful):
        farm = Farm(groups, 40, seed=1, rule=policy.score).run(5 * DAY_S)
        since = farm.core_s()
        far[policy.name] = groups_worst_percent(farm.run(6 * DAY_S), since)
    assert far[""] > 60
    assert far["no_history"] < 10


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (None, r"PILOTBUS_SHARE_POLICY is 'own', and no extension has policies/own.py: there is fair"),
        ("import nowhere_at_all\n", r"own.py: ModuleNotFoundError: No module named 'nowhere_at_all'"),
        ("def score(\n", r"own.py: SyntaxError"),
        ("def rank(processors, core_s, share): return 1\n", r"own.py: wants a function score\(processors, core_s, share\)"),
        ("def score(usage): return 1\n", r"own.py: wants a function score\(processors, core_s, share\)"),
        ("def score(processors, core_s, share): return 1 / core_s\n", r"raises ZeroDivisionError"),
        ("def score(processors, core_s, share): return 'low'\n", r"is 'low', and wants to be a number"),
        ("def score(processors, core_s, share): return float('nan')\n", r"is nan, and wants to be a number"),
    ],
)
def test_what_is_no_policy_stops_the_start_with_one_sentence(tmp_path: Path, text: str | None, why: str) -> None:
    folder = tmp_path / "policies"
    folder.mkdir()
    (folder / "fair.py").write_text("def score(processors, core_s, share): return core_s\n")
    if text is not None:
        (folder / "own.py").write_text(text)
    with pytest.raises(Failure, match=why) as failed:
        policies(Settings(extensions=str(tmp_path), share_policy="own"))
    assert failed.value.code == USAGE
    assert len(str(failed.value).splitlines()) == 1


def test_who_has_a_score_that_is_no_number_is_served_last_and_nobody_else_loses_their_place(tmp_path: Path) -> None:
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "own.py").write_text(
        "def score(processors, core_s, share):\n    return float('nan') if processors % 2 and share == 1000 else processors\n"
    )
    chosen, _ = policies(Settings(extensions=str(tmp_path), share_policy="own"))
    turns = Turns(chosen.score, {"d": 500.0, "e": 500.0}, ())
    for slot, group in enumerate("badec"):
        turns.add(slot, group, "ada", 1)
        turns.place(slot, (-1, slot + 1))
    turns.use(0, 1)
    served = []
    for _ in range(9):
        chosen_slot = turns.next(0b11111)
        assert chosen_slot is not None
        turns.use(chosen_slot, 1)
        served.append("badec"[chosen_slot])
    assert served == ["a", "c", *"de" * 3, "d"]
    turns.account(
        [{"owner_group": group, "owner": "ada", "processors": 2 if group == "b" else 3, "core_s": 0.0} for group in "badec"]
    )
    assert turns.next(0b11111) == 0


def test_a_name_that_two_extensions_have_or_that_leaves_its_folder_is_refused(tmp_path: Path) -> None:
    for name in ("one", "other"):
        (tmp_path / name / "policies").mkdir(parents=True)
        (tmp_path / name / "policies" / "fair.py").write_text("def score(processors, core_s, share): return core_s\n")
    both = Settings(extensions=f"{tmp_path}/one:{tmp_path}/other", share_shadow="fair")
    with pytest.raises(Failure, match=re.escape("which is both")):
        policies(both)
    with pytest.raises(Failure, match="no extension has"):
        policies(Settings(extensions=f"{tmp_path}/one", share_policy="../policies/fair"))
