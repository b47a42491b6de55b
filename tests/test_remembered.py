"""What was read lately is not read again, and never outlives its change."""

from __future__ import annotations

from pathlib import Path

import pytest

from app import db, remembered
from app.remembered import Remembered
from tests.patience import PATIENCE


@pytest.fixture
def reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Which keys were looked up, with a database in use; nothing grows old by itself."""
    monkeypatch.setattr(remembered, "SECONDS", 10 * PATIENCE)
    monkeypatch.setattr(db, "_current", db.Database(f"sqlite:///{tmp_path / 'one.db'}"))
    return []


def test_it_asks_once_until_it_is_told_to_forget(reads: list[str]) -> None:
    memory = Remembered[int]()

    def look(key: str) -> int:
        reads.append(key)
        return len(reads)

    assert [memory.get(key, look) for key in ("a", "a", "b", "a")] == [1, 1, 2, 1]
    memory.forget()
    assert memory.get("a", look) == 3


def test_what_is_nothing_is_asked_anew(reads: list[str]) -> None:
    memory = Remembered[int]()
    assert memory.get("a", reads.append) is None
    assert memory.get("a", lambda _key: 7) == 7


def test_what_changes_while_it_is_read_is_not_kept(reads: list[str]) -> None:
    memory = Remembered[str]()

    def look(_key: str) -> str:
        memory.forget()  # somebody else commits
        return "from before"

    assert memory.get("a", look) == "from before"
    assert memory.get("a", lambda _key: "of now") == "of now"


def test_another_database_has_answers_of_its_own(reads: list[str], tmp_path: Path) -> None:
    memory = Remembered[str]()
    assert memory.get("a", lambda _key: "here") == "here"
    db.use(db.Database(f"sqlite:///{tmp_path / 'other.db'}"))
    assert memory.get("a", lambda _key: "there") == "there"


def test_it_grows_old(reads: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remembered, "SECONDS", 0.0)
    memory = Remembered[str]()
    assert memory.get("a", lambda _key: "before") == "before"
    assert memory.get("a", lambda _key: "after") == "after"
