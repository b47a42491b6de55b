"""Waking background work: Dramatiq actors over rows that are already committed.

Correctness rests on the rows, never on the broker: a lost message is found by a sweep, a doubled one loses on
the run's fence. Embedded, the broker and its worker live in the server process.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import dramatiq
from apscheduler.schedulers.background import BackgroundScheduler
from dramatiq.brokers.stub import StubBroker
from dramatiq.middleware import Retries, ShutdownNotifications

from app import db

Work = Callable[..., None]
_works: dict[str, Work] = {}
_sweeps: list[tuple[float, Callable[[], None]]] = []
_state: dict[str, Any] = {}
_NOTHING = "dispatch.nothing"


def actor(name: str) -> Callable[[Work], Work]:
    """Register a function as background work under a name; its arguments are JSON-able."""

    def register(work: Work) -> Work:
        _works[name] = work
        return work

    return register


def every(seconds: float) -> Callable[[Callable[[], None]], Callable[[], None]]:
    """Register a function that looks every so often for what a lost message left behind."""

    def register(sweep: Callable[[], None]) -> Callable[[], None]:
        _sweeps.append((seconds, sweep))
        return sweep

    return register


def wake(name: str, *args: Any) -> None:
    """Start the work once the open transaction has committed; without one, at once."""
    if name not in _works:
        raise KeyError(f"no background work is called {name!r}")
    try:
        db.after_commit(lambda: _send(name, args))
    except RuntimeError:
        _send(name, args)


def at(when: int, name: str, *args: Any) -> None:
    """Start the work at a time (unix ms), in place of an earlier time that the same work with these arguments had.

    In this process alone and no longer than it lives: who asks for it asks again at the next start.
    """
    if name not in _works:
        raise KeyError(f"no background work is called {name!r}")
    later(when, repr((name, args)), lambda: _send(name, args))


def later(when: int, name: str, call: Callable[[], None]) -> None:
    """Call at a time (unix ms), in place of an earlier time of that name, without waiting behind other work: it is
    quick. In this process alone and no longer than it lives.
    """
    scheduler = _state.get("scheduler")
    if scheduler is not None:
        day = datetime.fromtimestamp(when / 1000, UTC)
        scheduler.add_job(call, "date", run_date=day, id=name, replace_existing=True)


def start(threads: int) -> None:
    """Start the broker, its worker threads and the sweeps in this process."""
    for noisy in ("dramatiq", "apscheduler"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    broker = StubBroker(middleware=[ShutdownNotifications(notify_shutdown=False), Retries(max_retries=0)])
    actors = {
        name: dramatiq.actor(broker=broker, actor_name=name, queue_name="work")(_logged(name, work))
        for name, work in {**_works, _NOTHING: _do_nothing}.items()
    }
    worker = dramatiq.Worker(broker, worker_threads=threads, worker_timeout=100)
    scheduler = BackgroundScheduler(timezone="UTC", job_defaults={"coalesce": True, "misfire_grace_time": None})
    for seconds, sweep in _sweeps:
        scheduler.add_job(sweep, "interval", seconds=seconds, max_instances=1)
    worker.start()
    scheduler.start()
    _state.update(broker=broker, actors=actors, worker=worker, scheduler=scheduler)


def stop(timeout: float = 25.0) -> None:
    """Let what runs come to its next step boundary, at most `timeout` seconds."""
    if not _state:
        return
    state = dict(_state)
    _state.clear()
    state["scheduler"].shutdown(wait=False)
    began = time.monotonic()
    _end(state["broker"], state["worker"], timeout)
    state["worker"].stop(timeout=int(max(0.0, timeout - (time.monotonic() - began)) * 1000))
    state["broker"].close()


def _end(broker: StubBroker, worker: dramatiq.Worker, timeout: float) -> None:
    """Have the threads that wait for work see at once that they shall end: without any they look every tenth of a
    second, those that take it from the queues only after those that do it.
    """
    nothing = broker.get_actor(_NOTHING).message()
    deadline = time.monotonic() + timeout
    for thread in worker.workers:
        thread.stop()
    for _ in worker.workers:
        broker.enqueue(nothing)
    for thread in worker.workers:
        thread.join(max(0.0, deadline - time.monotonic()))
    for queue, consumer in worker.consumers.items():
        consumer.stop()
        broker.queues[queue].put(nothing.encode())


def is_running() -> bool:
    """Whether this process takes background work."""
    return bool(_state)


def _send(name: str, args: tuple[Any, ...]) -> None:
    actors = _state.get("actors")
    if actors is not None:
        actors[name].send(*args)


def _do_nothing() -> None:
    """What a thread is given so that it looks up."""


def _logged(name: str, work: Work) -> Work:
    def run(*args: Any) -> None:
        try:
            work(*args)
        except Exception:
            logging.getLogger(__name__).exception("background work %s%r failed", name, args)

    return run
