"""orders: an order holds once, whenever it comes; others change nothing."""

from __future__ import annotations

import os
import signal
import time

from pilot.orders import Orders


def test_a_kill_is_for_one_attempt_and_may_come_before_the_job() -> None:
    orders = Orders()
    orders.take({"number": 1, "order": "kill", "job_id": 7, "attempt": 2})
    assert orders.killed(7, 2)
    assert not orders.killed(7, 1)
    assert not orders.killed(7, 3)
    assert not orders.leaving


def test_an_old_or_unknown_order_changes_nothing() -> None:
    orders = Orders()
    orders.take({"number": 2, "order": "dance"})
    orders.take({"number": 1, "order": "drain"})
    assert orders.leaving == ""
    orders.take({"number": 3, "order": "drain"})
    assert str(orders.leaving) == "drained"


def test_the_first_signal_drains_and_the_second_ends_the_payload() -> None:
    orders = Orders()
    undo = orders.obey_signals()
    try:
        os.kill(os.getpid(), signal.SIGTERM)
        orders.wait(5)
        assert (orders.leaving, orders.leave_at_once) == ("signal", False)
        os.kill(os.getpid(), signal.SIGTERM)
        orders.wait(5)
        assert not orders.leave_at_once, "what comes at once is the same signal, to the whole group"
        time.sleep(0.3)  # time is what is tested
        os.kill(os.getpid(), signal.SIGTERM)
        orders.wait(5)
        assert orders.leave_at_once
    finally:
        undo()


def test_a_change_wakes_who_waits() -> None:
    orders = Orders()
    orders.drain("x")
    began = time.monotonic()
    orders.wait(30)
    assert time.monotonic() - began < 5
