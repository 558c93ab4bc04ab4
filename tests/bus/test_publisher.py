"""What can not be written fails alone."""

from __future__ import annotations

import pytest

from bus.publisher import Message, Publisher
from bus.topology import EVENTS
from tests.fix_broker import Vhost


def test_a_word_that_is_too_long_fails_its_batch_and_no_other(vhost: Vhost) -> None:
    publisher = Publisher(vhost.service_url, vhost.ca_file).start()
    try:
        with pytest.raises(ValueError, match="256"):
            publisher.publish([Message(EVENTS, "k" * 300, b"{}", "one")]).result(timeout=10)
        assert publisher._thread.is_alive()
        assert publisher.publish([Message(EVENTS, "nobody.hears.v1.this", b"{}", "two")]).result(timeout=10).unroutable == {0}
    finally:
        publisher.stop()
