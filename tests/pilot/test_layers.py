"""layers: settings for all, by kind of computing element, by community, by site; what is nearer to the node wins."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pilot.config import WrongConfig, configure, settled
from pilot.layers import merged
from pilot.plan import changed

FILE = {
    "idle_limit": 1,
    "plans": [{"plan": "mine", "commands": ["a"]}],
    "by_ce_type": {"SLURM": {"idle_limit": 2, "max_jobs": 2, "plans": [{"plan": "mine", "add": [{"command": "b"}]}]}},
    "by_vo": {"bes": {"max_jobs": 3, "plans": [{"plan": "mine", "add": [{"command": "c"}]}]}},
    "by_site": {"A.B.ch": {"max_jobs": 4, "plans": [{"plan": "mine", "add": [{"command": "d"}]}]}},
}
PLACES = {"by_ce_type": "SLURM", "by_vo": "bes", "by_site": "A.B.ch"}


def write(folder: Path, content: Any) -> str:
    """The file's name."""
    path = folder / "pilot.json"
    path.write_text(json.dumps(content))
    return str(path)


def test_a_later_layer_wins_and_changes_of_plans_add_up() -> None:
    found = merged(FILE, places=PLACES)
    assert (found["idle_limit"], found["max_jobs"]) == (2, 4)
    assert changed({}, found["plans"])["mine"] == ("a", "b", "c", "d")
    assert merged(FILE, places={**PLACES, "by_vo": "", "by_site": "elsewhere"})["max_jobs"] == 2


def test_the_kind_of_computing_element_is_the_batch_system_whose_job_it_is(tmp_path: Path) -> None:
    path = write(tmp_path, FILE)
    assert configure(["--config", path], {"SLURM_JOB_ID": "7"}).max_jobs == 2
    assert configure(["--config", path, "--ce-type", "ARC"], {"SLURM_JOB_ID": "7"}).max_jobs == 0
    assert configure(["--config", path, "--max-jobs", "9"], {"SLURM_JOB_ID": "7"}).max_jobs == 9


def test_who_has_enrolled_is_settled_by_the_services_then_by_its_file_then_by_its_flags(tmp_path: Path) -> None:
    config = configure(["--config", write(tmp_path, FILE), "--idle-limit", "7"], {})
    further = {"idle_limit": 99, "max_jobs": 99, "plan": "mine", "plans": [{"plan": "mine", "of": "check"}]}
    found = settled(config, further, site="A.B.ch", vo="bes", ce="")
    assert (found.idle_limit_s, found.max_jobs, found.plan, found.site, found.vo) == (7, 4, "mine", "A.B.ch", "bes")
    assert [change.get("of") for change in found.plans] == ["check", None, None, None]


def test_the_services_settle_how_a_pilot_works_and_not_whom_it_trusts() -> None:
    place = {"site": "A.B.ch", "vo": "", "ce": ""}
    assert settled(configure([], {}), {"pool": True}, **place).pool
    assert not settled(configure(["--no-pool"], {}), {"pool": True}, **place).pool
    for wrong in ({"url": "amqps://thief"}, {"isolation": "none"}, {"idle_limit": "x"}):
        with pytest.raises(WrongConfig, match="what the services tell"):
            settled(configure([], {}), wrong, site="A.B.ch", vo="", ce="")


@pytest.mark.parametrize(
    "wrong", [{"by_vo": {"bes": {"nonsense": 1}}}, {"by_site": {"A.B.ch": {"by_vo": {}}}}, {"by_site": {"A.B.ch": 1}}]
)
def test_a_layer_that_is_wrong_is_named(tmp_path: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(WrongConfig, match=r"pilot\.json: by_(vo\.bes|site\.A\.B\.ch): "):
        configure(["--config", write(tmp_path, wrong)], {})


def test_what_lets_in_is_not_kept_for_later(tmp_path: Path) -> None:
    secret = f"pbs1.p1.{'s' * 43}"
    config = configure(["--door", "https://h:1"], {"PILOTBUS_PILOT_SECRET": secret})
    assert config.secret == secret
    assert secret not in repr(config.told)
