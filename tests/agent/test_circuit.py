"""The circuit of a model's server: five failures open it, time half-opens it, an answer closes it."""

from __future__ import annotations

import pytest

from app.agent.providers import Done, ProviderFailed, TextDelta, Usage, circuit
from app.agent.providers.circuit import Circuit

DONE = Done("stop", Usage())


class Clock:
    """Time that the test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def found(clock: Clock) -> Circuit:
    return Circuit(clock=clock)


def fail(found: Circuit, status: int | None = 500, *, retryable: bool = True) -> ProviderFailed:
    failed = ProviderFailed("oops", status, retryable)
    attempt = found.begin()
    attempt.fails(failed)
    attempt.leaves()
    return failed


def refused(found: Circuit) -> float | None:
    with pytest.raises(ProviderFailed, match="5 times in a row") as caught:
        found.begin()
    assert caught.value.retryable
    return caught.value.retry_after


def test_it_opens_after_five_failures_for_thirty_seconds(found: Circuit, clock: Clock) -> None:
    assert [fail(found).retry_after for _ in range(5)] == [None] * 4 + [30.0]
    assert refused(found) == 30.0
    clock.now = 29.0
    assert refused(found) == 1.0


def test_after_its_time_one_attempt_is_let_through(found: Circuit, clock: Clock) -> None:
    for _ in range(5):
        fail(found)
    clock.now = 30.0
    attempt = found.begin()
    assert refused(found) == 5.0
    attempt.hears(TextDelta("I am here"))
    found.begin()


def test_a_failed_attempt_opens_it_again_at_once(found: Circuit, clock: Clock) -> None:
    for _ in range(5):
        fail(found)
    clock.now = 30.0
    assert fail(found).retry_after == 30.0
    assert refused(found) == 30.0


def test_a_cancelled_attempt_leaves_the_place_to_the_next(found: Circuit, clock: Clock) -> None:
    for _ in range(5):
        fail(found)
    clock.now = 30.0
    found.begin().leaves()
    found.begin()


def test_a_refusal_shows_that_the_server_is_there(found: Circuit, clock: Clock) -> None:
    for _ in range(5):
        fail(found)
    clock.now = 30.0
    fail(found, 401, retryable=False)
    found.begin()


def test_rate_limits_and_refusals_do_not_count(found: Circuit) -> None:
    for _ in range(10):
        fail(found, 429)
        fail(found, 401, retryable=False)
    found.begin()


def test_a_whole_answer_ends_the_row(found: Circuit) -> None:
    for _ in range(4):
        fail(found)
    found.begin().hears(DONE)
    fail(found)
    found.begin()


def test_a_longer_retry_after_is_kept(found: Circuit) -> None:
    for _ in range(4):
        fail(found)
    failed = ProviderFailed("oops", 503, True, retry_after=120.0)
    found.begin().fails(failed)
    assert failed.retry_after == 120.0


def test_each_provider_and_base_url_has_its_own() -> None:
    one = circuit.of("lab", "http://one/v1", 30)
    assert circuit.of("lab", "http://one/v1", 30) is one
    assert circuit.of("lab", "http://two/v1", 30) is not one
    assert circuit.of("other", "http://one/v1", 30) is not one
