"""What asks are called on pages, and their calls as text: complete, and never mistaken for another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from app import dispatch
from app import web_asks as words
from app.actor import Actor
from app.approvals.service import Ask
from app.sessions.service import Hold
from tests.approvals.asking import asked, hold_of, reads, runs


@pytest.fixture
def hold(alice: Actor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hold:
    """A run of a session of Alice's; nothing is woken."""
    monkeypatch.setattr(dispatch, "wake", lambda _name, _run_id: None)
    return hold_of(alice, tmp_path)


def test_a_call_is_shown_with_whatever_else_it_was_given_on_lines_of_its_own(hold: Hold) -> None:
    ask = asked(hold, "bash", {"command": "git push", "description": "Push", "workdir": "/srv", "env": {"A": "1"}})
    assert words.call_text(ask) == 'git push\nworkdir: /srv\nenv: {"A":"1"}'
    assert not words.legible(ask)


@pytest.mark.parametrize(
    ("command", "is_legible"),
    [("git push", True), ("x" * 96, True), ("x" * 97, False), ("echo a\necho b", False), ("echo \u202e", False)],
)
def test_only_a_whole_short_line_is_answered_on_a_row(hold: Hold, command: str, is_legible: bool) -> None:
    assert words.legible(runs(hold, command)) is is_legible


def test_a_read_is_named_by_its_path(hold: Hold) -> None:
    ask = reads(hold, "/srv/notes.txt")
    said = (words.kind(ask), words.name(ask), words.act(ask), words.always(ask), words.call_text(ask))
    assert said == ("read", "Read", "Allow read", "Always allow", "/srv/notes.txt")


def test_each_reason_is_told_once(hold: Hold) -> None:
    ask = runs(hold, "git push && git push --tags && git fetch")
    reasons = words.why(ask).split(" · ")
    assert len(reasons) == len({*reasons})
    assert words.why(without(ask, parts=[])) == ask.why


def without(ask: Ask, **changes: Any) -> Ask:
    """The ask with other fields."""
    return Ask(**{**ask.plain(), **changes})
