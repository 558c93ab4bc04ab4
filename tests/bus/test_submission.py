"""bus.submission: whatever is lost between client and bus, all jobs are accepted once, or none is and that is told."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

import bus.submission
from bus.client import Client
from bus.errors import Invalid, Refused, Unavailable
from bus.runner import Runner
from bus.submission import Submission, key_of, submit
from tests.bulk_service import Bulk, serving, words
from tests.bus.test_client import cut
from tests.fix_broker import Vhost

ECHO = {"Executable": "/bin/echo", "Parameters": 3}
KEY = str(uuid.uuid4())
ASKED = {"submission": KEY, "description": ECHO}
STORE, CONFIRM = "bulk.submit.v1", "bulk.confirm.v1"


@pytest.fixture
def ada(vhost: Vhost) -> Iterator[Client]:
    """A client that knows of the exchange."""
    with Client(vhost.person("ada"), vhost.ca_file, words=words()) as made:
        yield made


def test_all_is_stored_counted_and_confirmed(vhost: Vhost, ada: Client) -> None:
    with serving(vhost, Bulk()) as service:
        assert submit(ada, ASKED, 3) == Submission(KEY, 1, 3)
    assert service.asked == [(STORE, ASKED), (CONFIRM, {"submission": KEY, "first_job_id": 1, "count": 3})]
    assert service.stored[KEY]["state"] == "Received"


@pytest.mark.parametrize("trouble", ["lose", "cut", "unavailable"])
@pytest.mark.parametrize("step", [STORE, CONFIRM])
def test_what_is_lost_is_asked_again_under_the_same_key(
    vhost: Vhost, ada: Client, trouble: str, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if trouble == "lose":
        monkeypatch.setattr(bus.submission, "REPLY_WITHIN_S", 1.0)
    troubles = [trouble] if step == STORE else ["", trouble]
    with serving(vhost, Bulk(troubles=troubles), cut=lambda: cut(vhost, "ada")) as service:
        assert submit(ada, ASKED, 3) == Submission(KEY, 1, 3)
    assert [kind for kind, _ in service.asked].count(step) == 2
    assert {data["submission"] for _, data in service.asked} == {KEY}
    assert list(service.stored) == [KEY]
    assert service.stored[KEY]["state"] == "Received"


def test_another_count_is_never_confirmed(vhost: Vhost, ada: Client) -> None:
    with serving(vhost, Bulk(counts=2)) as service, pytest.raises(Refused, match="counts 2 jobs where 3 were meant") as told:
        submit(ada, ASKED, 3)
    assert told.value.code == "conflict"
    assert [kind for kind, _ in service.asked] == [STORE]


@pytest.mark.parametrize("troubles", [["denied"], ["", "conflict"]])
def test_a_refusal_is_not_asked_again(vhost: Vhost, ada: Client, troubles: list[str]) -> None:
    with serving(vhost, Bulk(troubles=list(troubles))) as service, pytest.raises(Refused, match=f"it is {troubles[-1]}"):
        submit(ada, ASKED, 3)
    assert len(service.asked) == len(troubles)


def test_patience_has_an_end_that_tells_the_key(vhost: Vhost, ada: Client) -> None:
    with serving(vhost, Bulk(troubles=["lose"] * 9)), pytest.raises(Unavailable, match=f"the same key, {KEY}, may be tried"):
        submit(ada, ASKED, 3, patience_s=0.5)
    with serving(vhost, Bulk()) as service:
        assert submit(ada, ASKED, 3) == Submission(KEY, 1, 3)
    assert list(service.stored) == [KEY]


def test_the_house_accepts_a_sweep_once_under_one_key(vhost: Vhost, house: Runner) -> None:
    with Client(vhost.person("ada"), vhost.ca_file) as client:
        done = submit(client, ASKED, 3)
        assert (done.count, len(done.job_ids)) == (3, 3)
        assert submit(client, ASKED, 3) == done
        with pytest.raises(Refused, match="used for something else"):
            submit(client, ASKED | {"description": ECHO | {"Parameters": 4}}, 4)


def test_a_key_is_a_uuid() -> None:
    assert key_of(KEY.upper()) == KEY
    assert key_of() != key_of()
    with pytest.raises(Invalid, match="the key seven is no uuid"):
        key_of("seven")
