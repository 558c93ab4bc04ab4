"""orders: an order holds once, whenever it comes; others change nothing."""

from __future__ import annotations

import os
import signal
import threading
import time

from pilot.orders import Disobeyed, Orders


def test_a_kill_is_for_one_attempt_and_may_come_before_the_job() -> None:
    orders = Orders()
    orders.take({"number": 1, "order": "kill", "job_id": 7, "attempt": 2})
    assert orders.killed(7, 2)
    assert not orders.killed(7, 1)
    assert not orders.killed(7, 3)
    assert not orders.leaving


def test_an_old_or_unknown_order_changes_nothing() -> None:
    orders = Orders()
    refused = {"number": 2, "outcome": "refused", "reason": "this pilot knows no order 'dance' like that"}
    assert orders.take({"number": 2, "order": "dance"}) == refused
    assert orders.take({"number": 1, "order": "drain"}) is None
    assert orders.leaving == ""
    assert orders.take({"number": 3, "order": "drain"}) == {"number": 3, "outcome": "taken"}
    assert str(orders.leaving) == "drained"


def test_a_stop_ends_at_once_and_says_who_wanted_it() -> None:
    orders = Orders()
    orders.take({"number": 1, "order": "stop"})
    assert (orders.leave_at_once, orders.why) == (True, "an operator has stopped the pilot")


def test_an_order_of_another_kind_goes_to_who_obeys_it_or_is_refused_by_it() -> None:
    orders = Orders()
    seen: list[dict[str, object]] = []

    def never(_order: object) -> None:
        raise Disobeyed("it is Tuesday")

    orders.others |= {"peek": seen.append, "dance": never}
    assert orders.take({"number": 1, "order": "peek"}) == {"number": 1, "outcome": "taken"}
    assert orders.take({"number": 2, "order": "dance"}) == {"number": 2, "outcome": "refused", "reason": "it is Tuesday"}
    assert [order["order"] for order in seen] == ["peek"]


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


def test_a_change_wakes_every_thread_that_waits_and_many_changes_wake_it_once() -> None:
    orders, ready, over = Orders(), threading.Barrier(5), threading.Barrier(5)

    def wait() -> None:
        orders.wait(0)  # the first wait of a thread only makes it known
        ready.wait(10)
        while not orders.leaving:
            orders.wait(60)
        orders.wait(0)
        began = time.monotonic()
        orders.wait(0.2)
        assert time.monotonic() - began >= 0.2, "what has changed once is told once"
        over.wait(10)

    threads = [threading.Thread(target=wait, daemon=True) for _ in range(4)]
    for thread in threads:
        thread.start()
    ready.wait(10)
    for _ in range(100):
        orders.changed()
    orders.drain("x")
    over.wait(10)


def test_a_change_before_a_threads_first_wait_is_not_slept_through() -> None:
    orders, met = Orders(), threading.Event()

    def look() -> None:
        assert not orders.leaving
        orders.drain("x")  # as if another did it between the look and the wait
        orders.wait(60)
        met.set()

    threading.Thread(target=look, daemon=True).start()
    assert met.wait(10)


def test_a_signal_wakes_the_main_thread_while_others_wait_too() -> None:
    orders, waiting = Orders(), threading.Event()
    undo = orders.obey_signals()

    def wait() -> None:
        orders.wait(0)
        waiting.set()
        while not orders.leaving:
            orders.wait(60)

    try:
        thread = threading.Thread(target=wait, daemon=True)
        thread.start()
        assert waiting.wait(10)
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGTERM)).start()
        while not orders.leaving:
            orders.wait(60)
        thread.join(10)
        assert not thread.is_alive()
    finally:
        undo()
