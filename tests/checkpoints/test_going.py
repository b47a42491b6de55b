"""Restores of files, conversation or both, undoing them in one act, and comparing any two checkpoints."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from app import dispatch
from app.checkpoints import service as checkpoints
from app.checkpoints.service import Checkpoint
from app.errors import Conflict, Denied, NotFound, Problem
from tests.checkpoints.conftest import Agent, write
from tests.conftest import member


@pytest.fixture(autouse=True)
def _engine_stands_still(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(dispatch._works, "agent.advance", lambda *args: None)


def number(agent: Agent, wanted: int) -> Checkpoint:
    return next(one for one in checkpoints.of_session(agent.actor, agent.session.id) if one.number == wanted)


def two_turns(agent: Agent) -> tuple[str, str]:
    """#0 before, #1 after the first turn, #2 after the second; returns the prompts."""
    first = agent.turn("one", agent.writes("a.txt", "1\n"))
    return first, agent.turn("two", agent.writes("a.txt", "2\n"), agent.writes("b.txt", "2\n"))


def contents(agent: Agent) -> tuple[str | None, str | None]:
    return agent.content("a.txt"), agent.content("b.txt")


def point(agent: Agent) -> str | None:
    return (agent.now().revert or {}).get("messageID")


def test_both_go_back_and_one_act_undoes_it(either_agent: Agent) -> None:
    agent = either_agent
    _first, second = two_turns(agent)
    assert checkpoints.preview(agent.actor, number(agent, 1).id).messages == 2
    made = checkpoints.restore(agent.actor, number(agent, 1).id, scope="both")
    assert (contents(agent), point(agent)) == (("1\n", None), second)
    assert (agent.now().revert or {})["snapshot"] == made.tree
    checkpoints.undo(agent.actor, made.id)
    assert (contents(agent), point(agent)) == (("2\n", "2\n"), None)


def test_a_restore_of_both_is_undone_by_a_clients_unrevert_too(agent: Agent) -> None:
    two_turns(agent)
    checkpoints.restore(agent.actor, number(agent, 1).id, scope="both")
    checkpoints.unrevert(agent.actor, agent.session.id)
    assert (contents(agent), point(agent)) == (("2\n", "2\n"), None)


def test_a_clients_revert_can_be_undone_here(agent: Agent) -> None:
    _first, second = two_turns(agent)
    checkpoints.revert(agent.actor, agent.session.id, second)
    made = checkpoints.of_session(agent.actor, agent.session.id)[-1]
    checkpoints.undo(agent.actor, made.id)
    assert (contents(agent), point(agent)) == (("2\n", "2\n"), None)


def test_the_conversation_alone_goes_back_and_forth(either_agent: Agent) -> None:
    agent = either_agent
    _first, second = two_turns(agent)
    made = checkpoints.restore(agent.actor, number(agent, 1).id, scope="conversation")
    assert (contents(agent), point(agent), made.files) == (("2\n", "2\n"), second, [])
    checkpoints.undo(agent.actor, made.id)
    assert point(agent) is None


def test_before_the_first_change_the_conversation_ends_before_that_call(agent: Agent) -> None:
    agent.ask("go")
    message, part = agent.step(agent.writes("a.txt", "1\n"))
    agent.rest()
    checkpoints.restore(agent.actor, number(agent, 0).id, scope="both")
    revert = agent.now().revert or {}
    assert (revert["messageID"], revert["partID"]) == (message, part)
    assert agent.content("a.txt") == "one\ntwo\n"


def test_going_forth_to_the_last_step_takes_the_mark_away(agent: Agent) -> None:
    two_turns(agent)
    checkpoints.restore(agent.actor, number(agent, 0).id, scope="both")
    assert contents(agent) == ("one\ntwo\n", None)
    made = checkpoints.restore(agent.actor, number(agent, 3).id, scope="both")
    assert (contents(agent), point(agent)) == (("2\n", "2\n"), None)
    checkpoints.undo(agent.actor, made.id)
    assert contents(agent) == ("one\ntwo\n", None)
    assert point(agent) is not None


def test_an_undo_can_be_undone(agent: Agent) -> None:
    two_turns(agent)
    made = checkpoints.restore(agent.actor, number(agent, 1).id)
    again = checkpoints.undo(agent.actor, made.id)
    assert contents(agent) == ("2\n", "2\n")
    checkpoints.undo(agent.actor, again.id)
    assert contents(agent) == ("1\n", None)


def test_only_the_chosen_files_go_back_and_forth(agent: Agent) -> None:
    two_turns(agent)
    made = checkpoints.restore(agent.actor, number(agent, 1).id, ["b.txt"])
    assert contents(agent) == ("2\n", None)
    checkpoints.undo(agent.actor, made.id)
    assert contents(agent) == ("2\n", "2\n")


def test_what_went_on_since_is_not_undone_by_one_act(agent: Agent) -> None:
    two_turns(agent)
    made = checkpoints.restore(agent.actor, number(agent, 1).id, scope="conversation")
    agent.turn("three")
    with pytest.raises(Conflict, match="went on"):
        checkpoints.undo(agent.actor, made.id)
    made = checkpoints.restore(agent.actor, number(agent, 1).id)
    agent.turn("four", agent.writes("c.txt", "4\n"))
    with pytest.raises(Conflict, match="changed files since"):
        checkpoints.undo(agent.actor, made.id)
    with pytest.raises(Conflict, match="Only a restore"):
        checkpoints.undo(agent.actor, number(agent, 1).id)
    assert agent.content("c.txt") == "4\n"


def test_when_the_files_stay_so_does_the_conversation(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    two_turns(agent)
    target = number(agent, 1)

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("app.checkpoints.putback.carry_out", fail)
    with pytest.raises(Problem, match="disk is full"):
        checkpoints.restore(agent.actor, target.id, scope="both")
    assert point(agent) is None


def test_any_two_can_be_compared_and_one_with_now(either_agent: Agent) -> None:
    agent = either_agent
    two_turns(agent)
    write(agent.place, "mine.txt", "by hand\n")

    def named(first: int, last: int | None = None) -> dict[str, tuple[str, str]]:
        found = checkpoints.compare_two(agent.actor, agent.session.id, first, last)
        return {file.path: (file.before, file.after) for file in found}

    assert named(0, 1) == {"a.txt": ("one\ntwo\n", "1\n")}
    assert named(3, 1) == {"a.txt": ("2\n", "1\n"), "b.txt": ("2\n", "")}
    assert named(2, 2) == {}
    assert named(3) == {"mine.txt": ("", "by hand\n")}
    assert [file["path"] for file in checkpoints.changed_now(agent.actor, agent.session.id)] == ["mine.txt"]
    with pytest.raises(NotFound):
        named(0, 99)


def test_who_may_only_read_looks_and_compares_but_changes_nothing(agent: Agent) -> None:
    two_turns(agent)
    target = number(agent, 1)
    made = checkpoints.restore(agent.actor, target.id)
    viewer = member(agent.actor, "Vera", "viewer")
    assert checkpoints.compare_two(viewer, agent.session.id, 0, 1)
    assert checkpoints.held(viewer, agent.session.project).number == 5
    acts: list[Callable[[], object]] = [
        lambda: checkpoints.restore(viewer, target.id, scope="both"),
        lambda: checkpoints.undo(viewer, made.id),
    ]
    for act in acts:
        with pytest.raises(Denied):
            act()
    assert contents(agent) == ("1\n", None)


def test_strangers_compare_and_undo_nothing(agent: Agent, charlie: object) -> None:
    two_turns(agent)
    made = checkpoints.restore(agent.actor, number(agent, 1).id)
    acts: list[Callable[[], object]] = [
        lambda: checkpoints.compare_two(charlie, agent.session.id, 0),  # type: ignore[arg-type]
        lambda: checkpoints.changed_now(charlie, agent.session.id),  # type: ignore[arg-type]
        lambda: checkpoints.undo(charlie, made.id),  # type: ignore[arg-type]
    ]
    for act in acts:
        with pytest.raises(NotFound):
            act()
