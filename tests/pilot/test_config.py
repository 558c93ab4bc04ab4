"""config: flags, environment and file make one configuration, and every mistake is one sentence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pilot.config import WrongConfig, configure
from pilot.wire.login import Broker, login

URL = "amqps://pilot:secret@broker.example.org:5671/vhost"


def test_a_flag_wins_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "pilot.json"
    file.write_text(json.dumps({"url": "amqps://other:x@one/", "site": "LCG.File.org", "idle_limit": 7, "least": {"free_mb": 1}}))
    config = configure(["--config", str(file), "--site", "LCG.Flag.org"], {"PILOTBUS_PILOT_AMQP_URL": URL})
    assert (config.site, config.idle_limit_s, dict(config.least)) == ("LCG.Flag.org", 7, {"free_mb": 1})
    assert config.login is not None
    assert (config.login.user, config.login.brokers) == ("pilot", (Broker("amqps", "broker.example.org", 5671, "vhost"),))


def test_a_password_on_the_command_line_is_refused_and_not_repeated() -> None:
    with pytest.raises(WrongConfig, match="every user of this node can read") as caught:
        configure(["--url", URL], {})
    assert "secret" not in str(caught.value)


def test_a_url_without_a_password_takes_it_from_the_environment() -> None:
    config = configure(["--url", "amqps://pilot@host/v"], {"PILOTBUS_PILOT_PASSWORD": "p%w"})
    assert config.login is not None
    assert (config.login.password, config.login.brokers[0].port) == ("p%w", 5671)
    assert "p%w" not in repr(config)


@pytest.mark.parametrize(
    ("flags", "environment"),
    [
        (["--url", "amqps://p@one/v", "--url", "stomps://p@two:443"], {}),
        (["--url", "amqps://p@one/v,stomps://p@two:443/"], {}),
        ([], {"PILOTBUS_PILOT_AMQP_URL": " amqps://p@one/v\n stomps://p@two:443/ "}),
        (["--url", "amqps://p@one/v", "--url", "stomps://p@two:443"], {"PILOTBUS_PILOT_AMQP_URL": "amqps://p@three/"}),
    ],
)
def test_several_addresses_keep_their_order(flags: list[str], environment: dict[str, str]) -> None:
    config = configure(flags, {**environment, "PILOTBUS_PILOT_PASSWORD": "x"})
    assert config.login is not None
    assert config.login.brokers == (Broker("amqps", "one", 5671, "v"), Broker("stomps", "two", 443, "/"))


def test_a_file_may_hold_one_address_or_several(tmp_path: Path) -> None:
    file = tmp_path / "pilot.json"
    for urls, count in (("amqps://p:x@one/", 1), (["amqps://p:x@one/", "stomps://p@two/"], 2)):
        file.write_text(json.dumps({"url": urls}))
        config = configure(["--config", str(file)], {})
        assert config.login is not None
        assert (len(config.login.brokers), config.login.password) == (count, "x")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("amqp://pilot:x@host/", "over TLS only"),
        ("amqps://host/", "wants a user"),
        ("amqps://pilot@host/", "no enrolment secret"),
        ("amqps://pilot:hidden@host:port/", "not well formed"),
        ("amqps://pilot:hidden@host/,stomp://pilot@host/", "over TLS only"),
        ("amqps://one:hidden@host/ stomps://two@host/", "name several users"),
    ],
)
def test_a_bad_url_is_one_sentence_without_the_password(url: str, said: str) -> None:
    with pytest.raises(ValueError, match=said) as caught:
        login(url)
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "is not JSON"),
        ("[]", "wants a JSON object"),
        ('{"sitte": "x"}', "does not know 'sitte'"),
        ('{"idle_limit": "x"}', "is a str"),
    ],
)
def test_a_bad_file_is_one_sentence(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "pilot.json"
    file.write_text(text)
    with pytest.raises(WrongConfig, match=said):
        configure(["--config", str(file)], {})


def test_a_name_that_could_not_be_routed_is_refused() -> None:
    with pytest.raises(WrongConfig, match="no pilot id"):
        configure(["--name", "a.b"], {})
    assert configure(["--name", "pilot-1"], {}).name == "pilot-1"


def test_each_pilot_has_a_name_of_its_own() -> None:
    assert configure([], {}).name != configure([], {}).name
