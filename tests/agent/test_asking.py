"""How long a model is waited for: the pauses between tries, and their end."""

from __future__ import annotations

import pytest

from app.agent.asking import Patience
from app.agent.providers import ProviderFailed


def failed(retry_after: float | None = None) -> ProviderFailed:
    return ProviderFailed("oops", 503, retryable=True, retry_after=retry_after)


class Clock:
    """Time that passes with every pause."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def pauses(spread: float, retry_after: float | None = None, unit: float = 1.0) -> list[float]:
    clock = Clock()
    patience = Patience(unit, clock, lambda low, high: {-1.0: low, 0.0: 1.0, 1.0: high}[spread])
    found = []
    while (pause := patience.pause(failed(retry_after))) is not None:
        found.append(pause)
        clock.now += pause
    return found


@pytest.mark.parametrize(("spread", "factor"), [(-1.0, 0.8), (0.0, 1.0), (1.0, 1.2)])
def test_pauses_double_from_one_second_with_a_fifth_of_jitter(spread: float, factor: float) -> None:
    assert pauses(spread) == pytest.approx([factor * pause for pause in (1, 2, 4, 8, 16)])


def test_the_jitter_is_random() -> None:
    first = [Patience().pause(failed()) for _ in range(50)]
    assert all(pause is not None and 0.8 <= pause <= 1.2 for pause in first)
    assert len(set(first)) > 10


def test_a_server_that_says_when_is_obeyed_up_to_five_minutes() -> None:
    assert pauses(0.0, retry_after=7) == [7] * 5
    assert pauses(0.0, retry_after=0) == [0] * 5
    assert pauses(0.0, retry_after=3600)[0] == 300


def test_all_in_all_it_takes_less_than_fifteen_minutes() -> None:
    assert pauses(0.0, retry_after=290) == [290] * 3


def test_a_failure_that_is_for_good_is_not_tried_again() -> None:
    assert Patience().pause(ProviderFailed("wrong key", 401, auth=True)) is None


def test_the_unit_scales_our_own_pauses_but_not_the_server_s() -> None:
    assert pauses(0.0, unit=0.5) == [0.5, 1, 2, 4, 8]
    assert pauses(0.0, retry_after=2, unit=0.5) == [2] * 5
