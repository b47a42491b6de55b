"""Bells wake whoever listens, and never hold up whoever rings."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.wake import Bell, Ringer


@pytest.fixture
def bell(tmp_path: Path) -> Iterator[Bell]:
    """A listener that does not listen yet."""
    made = Bell(tmp_path)
    yield made
    made.close()


def test_a_ring_wakes_whoever_listens(bell: Bell, tmp_path: Path) -> None:
    ringer = Ringer(tmp_path)
    ringer.ring()
    assert bell.wait(10)
    assert not bell.wait(0.01)
    ringer.close()


def test_ringing_where_nobody_listens_yet_waits_for_nothing(bell: Bell, tmp_path: Path) -> None:
    ringer = Ringer(tmp_path)
    for _ in range(300):
        bell.ring()
        ringer.ring()
    assert bell.wait(10)
    ringer.close()


def test_a_listener_that_is_gone_is_swept_away(tmp_path: Path) -> None:
    (tmp_path / "wake").mkdir()
    gone = Bell(tmp_path)
    gone._socket.close()
    ringer = Ringer(tmp_path)
    ringer.ring()
    assert list((tmp_path / "wake").iterdir()) == []
    ringer.close()
