"""One house at work for all attacks of a file: each must leave it as it was, so none disturbs the next."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from bus.administration import Administration
from bus.apply import Words
from bus.runner import Runner
from deploy.house import found_handlers
from tests.attacks.thief import Field, Thief
from tests.attacks.victim import pilot_zip, services, store, victim
from tests.fix_broker import fresh_vhost
from tests.fix_db import fresh_database
from tests.fix_house import settings_for

__all__ = ["pilot_zip", "services", "store", "victim"]

PEOPLE = """
INSERT INTO site.sites VALUES ('CLOUD.CNIC.cn', '', 'active', NULL, NULL, NULL, '{}', '2026-01-01T00:00:00Z'),
                              ('GRID.JINR.ru', '', 'active', NULL, NULL, NULL, '{}', '2026-01-01T00:00:00Z');
INSERT INTO registry.vos VALUES ('bes', '', now()), ('lhcb', '', now());
INSERT INTO registry.groups VALUES ('bes_user', 'bes', '{NormalUser}', 1, now()), ('lhcb_user', 'lhcb', '{NormalUser}', 1, now()),
                                   ('lhcb_admin', 'lhcb', '{JobAdministrator}', 1, now());
INSERT INTO registry.users VALUES ('ann', '{}', '', now()), ('ben', '{}', '', now());
INSERT INTO registry.members VALUES ('ann', 1, 'bes_user'), ('ben', 1, 'lhcb_user');
INSERT INTO job.submissions VALUES ('7d3f0f6e-2c37-4f0e-9a53-3f8d1f7f0a01', 'ann', '', 1, 4, now());
INSERT INTO job.jobs (job_id, submission, owner, owner_group, vo, job_name, job_group, state, minor_status, attempt, priority,
                      description, pilot_id, site, output_digest, submitted_at, changed_at)
SELECT n, '7d3f0f6e-2c37-4f0e-9a53-3f8d1f7f0a01', CASE n WHEN 2 THEN 'ben' ELSE 'ann' END,
       CASE n WHEN 2 THEN 'lhcb_user' ELSE 'bes_user' END, CASE n WHEN 2 THEN 'lhcb' ELSE 'bes' END, 'n', 'g',
       CASE n WHEN 3 THEN 'Done' ELSE 'Running' END, 'Application', 2, 1,
       '{"Executable": "/bin/true", "InputSandbox": ["SB:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"]}',
       CASE n WHEN 2 THEN 'p2' ELSE 'p1' END, 'CLOUD.CNIC.cn',
       '9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08', now(), now()
FROM generate_series(1, 4) n;
SELECT setval('job.ids', 4);
"""
ONLY_TOLD = ("job.refused.v1", "job.reported.v1", "pilot.disconnected.v1")


@pytest.fixture(scope="module")
def field(dsn: str, template: str, words: Words, hands: dict[str, Any]) -> Iterator[Field]:
    """Jobs 1 and 4 (ann's, attempt 2, run on p1), 2 (ben's, another community's, runs on p2) and 3 (ann's, Done)."""
    with fresh_vhost() as vhost, fresh_database(dsn, template) as address:
        settings = settings_for(vhost, address)
        broker = Administration(vhost.management_url, vhost.ca_file, lambda: vhost.issuer.management().text)
        own = hands | {"security.cut": broker} | dict.fromkeys(("pilot.enrol", "token.renew", "token.job"), vhost.issuer)
        runner = Runner(settings, found_handlers(settings, words), words, own).start()
        try:
            with psycopg.connect(address, autocommit=True) as db:
                db.execute(PEOPLE)
                yield Field(vhost, db, os.environ["PILOTBUS_STOMP_URL"])
        finally:
            runner.stop()


@pytest.fixture(params=["amqp", "stomp"])
def protocol(request: pytest.FixtureRequest) -> str:
    """How the thief speaks."""
    return str(request.param)


@pytest.fixture
def thief(field: Field, protocol: str) -> Iterator[Thief]:
    """A connection with the stolen identity of pilot p1."""
    made = field.thief(protocol)
    yield made
    made.close()


@pytest.fixture
def unharmed(field: Field) -> Callable[..., None]:
    """Call it when the attack is over: the house has judged what came, nothing has changed, and the alarm was heard if due."""
    rows, trusted, alarms = field.rows(), field.trusted(), field.alarms()

    def judge(*, alarm: bool = False) -> None:
        end_s = time.monotonic() + 15
        while alarm and field.alarms() == alarms:
            assert time.monotonic() < end_s, "no alarm was heard"
            time.sleep(0.02)  # the event store is what is looked at
        for queue in ("gate", "log.store", "match.request", "job.report"):
            while field.vhost.depth(queue):
                assert time.monotonic() < end_s, f"{queue} has not judged what came"
                time.sleep(0.02)
        assert field.rows() == rows
        assert [event for event in field.trusted()[len(trusted) :] if event[0] not in ONLY_TOLD] == []

    return judge
