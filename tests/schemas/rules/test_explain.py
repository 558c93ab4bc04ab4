"""explain: what is named as failing is what a naive evaluator of DIRAC's predicate names, counted and with the nearest miss."""

from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import catalogue, check
from schemas.rules.attributes import DescriptionError
from schemas.rules.explain import counted, in_words, offered, told_pilot, wanted, why_job, why_pilot
from schemas.rules.matching import unmet
from tests.schemas.rules.oracle import oracle, words
from tests.schemas.rules.test_matching import attributes, needs, resource, resources

KNOWN = catalogue()
offers = st.lists(st.builds(lambda one, pilots: {"resource": one, "pilots": pilots}, resources, st.integers(1, 5)), max_size=5)


def failing(offer: dict[str, Any], need: dict[str, Any]) -> set[str]:
    """Give the fields that say no, as the oracle of matching has them; a tag that is a number or WholeNode by its own name."""
    fields = oracle(offer, need)
    if "Tag" not in fields:
        return fields
    processors = offer.get("NumberOfProcessors", 0)
    sizes = {f"{number}Processors": number for number in range(1, 10)} | {"MultiProcessor": 2}
    named = set()
    for tag in need["Tags"]:
        if tag in words(offer.get("Tag")):
            continue
        if tag in sizes:
            named |= {"NumberOfProcessors"} if sizes[tag] > processors else set()
        elif tag == "WholeNode":
            named |= set() if offer.get("WholeNode") else {"WholeNode"}
        else:
            named.add("Tag")
    return fields - {"Tag"} | named


def drawn(wanted_attributes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Give the requirements of those that are jobs at all."""
    found = []
    for one in wanted_attributes:
        try:
            found.append(needs(**one))
        except DescriptionError:
            continue
    return found


@settings(max_examples=700)
@given(attributes, offers)
def test_a_job_is_told_exactly_the_fields_that_the_oracle_names(job: dict[str, Any], asked: list[dict[str, Any]]) -> None:
    for need in drawn([job]):
        found = why_job(need, asked)
        named = [failing(offer["resource"], need) for offer in asked]
        pilots, kinds = Counter[str](), Counter[str]()
        for offer, fields in zip(asked, named, strict=True):
            kinds.update(fields)
            pilots.update(dict.fromkeys(fields, offer["pilots"]))
        assert {row["field"]: (row["resources"], row["pilots"]) for row in found["requirements"]} == {
            field: (kinds[field], pilots[field]) for field in kinds
        }
        assert found["fitting_resources"] == sum(not fields for fields in named)
        misses = [(len(fields), -offer["pilots"]) for offer, fields in zip(asked, named, strict=True) if fields]
        assert ("nearest" in found) == bool(misses)
        if misses:
            nearest = found["nearest"]
            assert (len(nearest["fields"]), -nearest["pilots"]) == min(misses)
            assert {reason.partition(":")[0] for reason in nearest["reasons"]} == set(nearest["fields"])
        assert 0 < len(found["headline"]) <= 1000


@settings(max_examples=700)
@given(resources, st.lists(attributes, max_size=5))
def test_a_pilot_is_told_exactly_the_fields_that_the_oracle_names(offer: dict[str, Any], jobs: list[dict[str, Any]]) -> None:
    queues: list[dict[str, Any]] = [
        {"queue_id": n, "requirements": need, "waiting": n % 3} for n, need in enumerate(drawn(jobs), 1)
    ]
    found = why_pilot(offer, queues)
    named = {queue["queue_id"]: failing(offer, queue["requirements"]) for queue in queues}
    assert found["fails"] == Counter(field for fields in named.values() for field in fields)
    check(KNOWN["match.request.v1.reply"], {"job": None, "why": told_pilot(found)}, strict=True)
    assert (found["queues"], found["fits"]) == (len(queues), sum(not fields for fields in named.values()))
    misses = [(len(fields), -(queue_id % 3), queue_id) for queue_id, fields in named.items() if fields]
    assert ("nearest" in found) == bool(misses)
    if misses:
        assert found["nearest"]["queue_id"] == min(misses)[2]
        assert set(found["nearest"]["fields"]) == named[min(misses)[2]]


def test_the_headline_says_what_nobody_has_and_who_is_nearest() -> None:
    small = resource(MaxRAM=16_384)
    asked = [{"resource": small, "pilots": 12}, {"resource": resource(MaxRAM=2048, CPUTime=10), "pilots": 40}]
    assert why_job(needs(MinRAM=64_000), asked)["headline"] == (
        "no pilot of the last hour has 64000 MB of memory; the nearest, 12 pilots at CLOUD.CNIC.cn, have 16384 MB of memory"
    )
    assert why_job(needs(Site=["LCG.CERN.ch"]), [{"resource": small, "pilots": 1}])["headline"] == (
        "no pilot of the last hour is at site LCG.CERN.ch; the nearest, 1 pilot at CLOUD.CNIC.cn, is at site CLOUD.CNIC.cn"
    )
    assert why_job(needs(), [])["headline"] == "no pilot has asked for a job in the last hour"
    assert why_job(needs(), asked[:1], "the hour before noon")["headline"] == "12 of the 12 pilots of the hour before noon fit"


def test_what_no_single_pilot_lacks_is_said_as_all_at_once() -> None:
    asked = [
        {"resource": resource(MaxRAM=64_000, Platform="Linux_aarch64"), "pilots": 2},
        {"resource": resource(MaxRAM=2048), "pilots": 3},
    ]
    found = why_job(needs(MinRAM=64_000, Platform=["Linux_x86_64"]), asked)
    assert found["headline"] == (
        "no pilot of the last hour has all that the job needs at once; "
        "the nearest, 3 pilots at CLOUD.CNIC.cn, have 2048 MB of memory"
    )
    best = {row["field"]: (row["wants"], row["best"]) for row in found["requirements"]}
    assert best == {
        "MaxRAM": ("64000 MB of memory", "64000 MB of memory"),
        "Platform": ("platform Linux_x86_64", "platform Linux_x86_64 (3); platform Linux_aarch64 (2)"),
    }


def test_a_pilot_is_told_why_and_not_whose_jobs_wait() -> None:
    queues = [{"queue_id": 1, "requirements": needs(owner="eve", vo="juno", group="juno_user")}]
    why = why_pilot(resource(), queues)
    assert "juno" in why["nearest"]["reasons"][0]
    told = told_pilot(why)
    assert told["headline"] == "none of 1 task queues fits; the nearest: its jobs are another community's"
    assert not any(word in str(told) for word in ("eve", "juno"))
    assert why_pilot(resource(), [])["headline"] == "no job waits"
    assert why_pilot(resource(), [{"queue_id": 1, "requirements": needs()}])["headline"].startswith("1 of 1 task queues fit")


def test_counts_of_an_index_are_told_as_if_all_had_been_looked_at() -> None:
    queues = [{"queue_id": n, "requirements": needs(MinRAM=4096 * n), "waiting": n} for n in (1, 2, 3)]
    assert counted(resource(), 3, 0, {"MaxRAM": 3, "Site": 0}, queues[2]) == why_pilot(resource(), queues)


@settings(max_examples=200)
@given(attributes, resources)
def test_every_reason_of_the_predicate_has_its_words(job: dict[str, Any], offer: dict[str, Any]) -> None:
    for need in drawn([job]):
        for reason in unmet(offer, need):
            field = reason.partition(":")[0]
            assert wanted(field, need) != field
            assert offered(field, offer) != field
            assert "{" not in wanted(field, need) + offered(field, offer)
    assert len(in_words(offer)) <= 1000
    assert wanted("Unheard", {}) == offered("Unheard", {}) == "Unheard"
