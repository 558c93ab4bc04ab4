"""What is limited at a site is said with the site, and shown with its counters to operators."""

from __future__ import annotations

import json
import time
from pathlib import Path

import psycopg

from bus.client import Client
from bus.runner import Runner
from tests.deploy.test_cli_bad_input import pilotbus, refused
from tests.fix_broker import Vhost
from tests.handlers.claims import claim, job

SITE = {
    "site": "A.B.ch",
    "status": "active",
    "running_limits": [{"attribute": "OwnerGroup", "value": "bes_user", "most": 1}],
    "match_delays": [{"ce": "ce1", "attribute": "*", "value": "*", "delay_s": 0.5, "burst": 10}],
}


def test_limits_are_described_with_the_site_and_shown_with_their_counters(
    house: Runner, vhost: Vhost, db: psycopg.Connection, tmp_path: Path
) -> None:
    assert house
    operator = {"PILOTBUS_CLIENT_AMQP_URL": vhost.client_url, "PILOTBUS_CA_FILE": vhost.ca_file}
    assert "nothing is limited" in pilotbus(tmp_path, operator, "limits").stderr
    told, until = list[object](), time.monotonic() + 60
    with Client(vhost.client_url, vhost.ca_file) as bus:
        bus.follow("match.released.v1.#")
        done = pilotbus(tmp_path, operator, "publish-event", "site.described.v1", json.dumps(SITE))
        assert done.returncode == 0, done.stderr
        while not told and time.monotonic() < until:
            told += [event.data for event in bus.events()]
    assert told == [{"site": "A.B.ch"}]
    claim(db, [(1, "A.B.ch", "", job())])
    rate, limit = json.loads(pilotbus(tmp_path, operator, "limits", "--json").stdout)[::-1]
    assert (limit["value"], limit["running"], limit["most"], limit["reached"]) == ("bes_user", 1, 1, True)
    assert (rate["ce"], rate["running"], rate["delay_s"], rate["burst"], rate["reached"]) == ("ce1", 0, 0.5, 10, False)
    rows = pilotbus(tmp_path, operator, "limits", "--site", "A.B.ch").stdout.splitlines()
    assert rows[0].split() == ["Site", "CE", "Attribute", "Value", "Running", "Most", "Delay", "s", "Burst", "Reached"]
    assert rows[1].split() == ["A.B.ch", "OwnerGroup", "bes_user", "1", "1", "yes"]
    assert rows[2].split() == ["A.B.ch", "ce1", "*", "*", "0", "0.500", "10"]
    assert "nothing is limited" in pilotbus(tmp_path, operator, "limits", "--site", "C.ch").stderr
    ada = operator | {"PILOTBUS_CLIENT_AMQP_URL": vhost.person("bob")}
    refused(pilotbus(tmp_path, ada, "limits"), 4)
