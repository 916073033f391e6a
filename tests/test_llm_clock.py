"""Waiting on the virtual clock takes no time, and everybody wakes in the right order."""

import asyncio
import time
from random import Random

import pytest

from course_utils.llm.clock import Clock, SystemClock, VirtualClock


def test_virtual_sleep_passes_at_once() -> None:
    """An hour of sleep moves both readings by an hour and takes no real second."""
    clock, began = VirtualClock(start=5.0, epoch=1_000.0), time.perf_counter()
    clock.sleep(3600)
    assert (clock.now(), clock.time(), clock.slept) == (3605.0, 4600.0, [3600])
    assert time.perf_counter() - began < 1


def test_time_never_goes_back() -> None:
    """A negative wait is no wait, on either clock."""
    for clock in (VirtualClock(), SystemClock()):
        before = clock.now()
        clock.sleep(-10)
        asyncio.run(clock.asleep(-10))
        assert 0 <= clock.now() - before < 1


def test_tasks_wake_in_order() -> None:
    """A thousand tasks wake in the order of their waits, each at its own moment."""
    clock, woken = VirtualClock(), []
    waits = [Random(seed).uniform(0, 600) for seed in range(1000)]

    async def nap(seconds: float) -> None:
        await clock.asleep(seconds)
        woken.append((seconds, clock.now()))

    async def everybody() -> None:
        await asyncio.gather(*map(nap, waits))

    asyncio.run(everybody())
    assert [seconds for seconds, _ in woken] == sorted(waits)
    assert all(now == pytest.approx(seconds) for seconds, now in woken)


def test_time_waits_for_tasks_that_work() -> None:
    """While a task hands on work through a queue, nobody's sleep ends before the work is done."""
    clock, order = VirtualClock(), []

    async def worker(queue: asyncio.Queue[int]) -> None:
        while (item := await queue.get()) < 20:
            await clock.asleep(0.01)
            queue.put_nowait(item + 1)
        order.append("worked")

    async def both() -> None:
        queue: asyncio.Queue[int] = asyncio.Queue()
        queue.put_nowait(0)
        sleeper = asyncio.create_task(clock.asleep(1.0))
        sleeper.add_done_callback(lambda _: order.append("slept"))
        await asyncio.gather(worker(queue), sleeper)

    asyncio.run(both())
    assert order == ["worked", "slept"]
    assert clock.now() == pytest.approx(1.0)


def test_a_cancelled_sleeper_moves_no_time() -> None:
    """A sleep that is cancelled is forgotten: time does not run on to its end."""
    clock = VirtualClock()

    async def run() -> None:
        long = asyncio.create_task(clock.asleep(1000))
        await clock.asleep(1)
        long.cancel()
        await clock.asleep(1)

    asyncio.run(run())
    assert clock.now() == pytest.approx(2.0)


def test_a_clock_serves_one_event_loop_after_another() -> None:
    """What a loop left behind does not keep the next one from sleeping."""
    clock = VirtualClock()

    async def run() -> None:
        with pytest.raises(TimeoutError):
            # wait_for counts real time: the loop ends while the sleeper still waits.
            await asyncio.wait_for(asyncio.Event().wait(), 0)
        _ = asyncio.create_task(clock.asleep(50))  # noqa: RUF006
        await asyncio.sleep(0)

    asyncio.run(run())
    asyncio.run(clock.asleep(3))
    assert clock.now() == pytest.approx(3.0)


def test_time_can_be_held_while_something_real_happens() -> None:
    """Nobody's sleep ends while another task waits for a real event under hold()."""
    clock, order = VirtualClock(), []

    async def really_waiting() -> None:
        with clock.hold():
            await asyncio.sleep(0.05)
        order.append("real")

    async def both() -> None:
        sleeper = asyncio.create_task(clock.asleep(1.0))
        sleeper.add_done_callback(lambda _: order.append("virtual"))
        await asyncio.gather(really_waiting(), sleeper)

    asyncio.run(both())
    assert order == ["real", "virtual"]


def test_system_clock_is_the_machine_s() -> None:
    """The system clock reads the monotonic clock and the time of day, and really waits."""
    clock: Clock = SystemClock()
    assert abs(clock.now() - time.monotonic()) < 1
    assert abs(clock.time() - time.time()) < 1
    before = time.monotonic()
    clock.sleep(0.01)
    asyncio.run(clock.asleep(0.01))
    assert time.monotonic() - before >= 0.02
