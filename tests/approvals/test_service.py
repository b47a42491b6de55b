from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa

from app import db, dispatch, record, redact
from app.accounts import service as accounts
from app.actor import Actor
from app.approvals import models
from app.approvals import service as approvals
from app.approvals.service import Ask, Call, Rule
from app.errors import Conflict, Denied, Invalid, NotFound, Problem, Unauthenticated, Unavailable
from app.sessions import service as sessions
from app.sessions.service import Hold, Session

SECRET = "shop-key-0123456789"


@pytest.fixture(autouse=True)
def tables(database: db.Database) -> None:
    """The room's tables, whether or not the template has them already."""
    models.asks.create(database.engine, checkfirst=True)
    models.rules.create(database.engine, checkfirst=True)


@pytest.fixture(autouse=True)
def woken(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The runs that would be woken: no engine runs here."""
    runs: list[str] = []
    monkeypatch.setattr(dispatch, "wake", lambda _name, run_id: runs.append(run_id))
    return runs


def session_of(actor: Actor, tmp_path: Path, **more: Any) -> Session:
    project = SimpleNamespace(id="prj_app", owner=actor.user, project="prj_app", visibility="team")
    place = SimpleNamespace(project=project, directory=tmp_path)
    return sessions.create(actor, place, title="Fix it", **more)


def hold_of(actor: Actor, session: Session) -> Hold:
    _message, run_id = sessions.send(actor, session.id, [{"type": "text", "text": "go"}], model="demo/demo")
    assert run_id is not None
    hold = sessions.take(run_id)
    assert hold is not None
    return hold


@pytest.fixture
def hold(alice: Actor, tmp_path: Path) -> Hold:
    """A run of Alice's, in whose project nothing is."""
    return hold_of(alice, session_of(alice, tmp_path))


def bash(command: str, call_id: str = "call_1") -> Call:
    return Call("bash", {"command": command}, call_id, "msg_1", "prt_1")


def asked(hold: Hold, command: str = "git push", call_id: str = "call_1") -> Ask:
    call = bash(command, call_id)
    return approvals.ask(hold, call, approvals.decide(hold, call))


def wait(hold: Hold) -> bool:
    return sessions.wait(hold, lambda connection: approvals.is_waiting(connection, hold.run_id))


def state_of(alice: Actor, hold: Hold) -> str:
    run = sessions.last_run(alice, hold.session.id)
    assert run is not None
    return run.state


def kinds() -> list[str]:
    with db.read() as connection:
        found = connection.scalars(sa.select(record.events.c.kind).order_by(record.events.c.seq))
        return [kind for kind in found if kind.startswith("approvals.")]


def audited() -> list[Any]:
    with db.read() as connection:
        rows = connection.execute(sa.select(record.audit_rows).order_by(record.audit_rows.c.seq))
        return [row for row in rows if row.action.startswith(("approval", "question"))]


def test_it_stores_what_is_asked_with_its_event(hold: Hold, alice: Actor) -> None:
    ask = asked(hold, "git push && rm x")
    assert ask.id.startswith("per_")
    assert ask.metadata["command"] == ask.title == "git push && rm x"
    assert ask.patterns == ["git push", "rm x"]
    assert [rule["pattern"] for rule in ask.always] == ["git push *", "rm x"]
    assert [found.id for found in approvals.waiting(alice)] == [ask.id]
    assert approvals.get(alice, ask.id).session_title == "Fix it"
    assert kinds() == ["approvals.asked"]


def test_the_same_call_asks_once(hold: Hold) -> None:
    assert asked(hold).id == asked(hold).id
    assert asked(hold, call_id="call_2").id != asked(hold).id
    assert kinds() == ["approvals.asked"] * 2


def test_an_answer_is_bound_to_the_exact_call(hold: Hold, alice: Actor) -> None:
    ask = asked(hold)
    assert approvals.answer(alice, ask.id, "once").is_allowed
    found = approvals.verdict(hold, bash("git push"))
    assert found is not None
    assert found.is_allowed
    assert approvals.verdict(hold, bash("git push -f")) is None
    assert approvals.verdict(hold, bash("git push", "call_2")) is None
    assert approvals.decide(hold, bash("git push", "call_2")).action == "ask"


def test_an_answer_wakes_the_waiting_run(hold: Hold, alice: Actor, woken: list[str]) -> None:
    ask = asked(hold)
    assert wait(hold)
    woken.clear()
    approvals.answer(alice, ask.id, "once")
    assert woken == [hold.run_id]
    assert state_of(alice, hold) == "queued"
    assert kinds() == ["approvals.asked", "approvals.answered"]


def test_a_run_goes_on_only_when_nothing_of_it_waits(hold: Hold, alice: Actor) -> None:
    one, two = asked(hold, "rm a", "call_1"), asked(hold, "rm b", "call_2")
    assert wait(hold)
    approvals.answer(alice, one.id, "reject", "use git rm")
    assert state_of(alice, hold) == "waiting"
    approvals.answer(alice, two.id, "once")
    assert state_of(alice, hold) == "queued"


def test_an_answer_before_the_run_waits_is_not_lost(hold: Hold, alice: Actor) -> None:
    ask = asked(hold)
    approvals.answer(alice, ask.id, "once")
    assert not wait(hold)
    assert state_of(alice, hold) == "running"


def test_a_rejection_carries_a_word(hold: Hold, alice: Actor) -> None:
    answered = approvals.answer(alice, asked(hold).id, "reject", "use a branch")
    assert (answered.reply, answered.word, answered.is_allowed) == ("reject", "use a branch", False)


def test_a_second_answer_is_told_who_was_first(hold: Hold, alice: Actor) -> None:
    ask = asked(hold)
    approvals.answer(alice, ask.id, "reject")
    with pytest.raises(Conflict, match=rf"^Answered by {alice.name} \d+ s before you: rejected\.$"):
        approvals.answer(alice, ask.id, "once")
    assert approvals.get(alice, ask.id).reply == "reject"


def test_of_many_answers_at_once_one_wins(hold: Hold, alice: Actor) -> None:
    ask = asked(hold)
    gate = threading.Barrier(8)

    def answer(at: int) -> str:
        gate.wait(timeout=10)
        try:
            return approvals.answer(alice, ask.id, "once" if at % 2 else "reject").reply
        except Conflict:
            return "late"

    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(answer, range(8)))
    assert replies.count("late") == 7
    assert approvals.get(alice, ask.id).reply in replies
    assert kinds().count("approvals.answered") == 1
    assert len(audited()) == 1


def test_always_adds_exactly_the_shown_rules(hold: Hold, alice: Actor) -> None:
    ask = asked(hold, "git push && rm x")
    answered = approvals.answer(alice, ask.id, "always")
    assert answered.added == ask.always
    stored = approvals.rules_of(alice, "session", hold.session.id)
    assert [(rule.tool, rule.pattern, rule.ask_id) for rule in stored] == [
        ("bash", "git push *", ask.id),
        ("bash", "rm x", ask.id),
    ]
    assert approvals.decide(hold, bash("git push origin y", "call_9")).action == "allow"
    assert approvals.decide(hold, bash("rm y", "call_9")).action == "ask"


def test_always_may_add_some_of_the_shown_rules_but_no_other(hold: Hold, alice: Actor) -> None:
    ask = asked(hold, "git push && rm x")
    with pytest.raises(Invalid, match="shown"):
        approvals.answer(alice, ask.id, "always", rules=[{"tool": "bash", "pattern": "*", "action": "allow"}])
    assert approvals.get(alice, ask.id).state == "waiting"
    assert approvals.answer(alice, ask.id, "always", rules=ask.always[:1]).added == ask.always[:1]


def test_always_lets_other_waiting_calls_pass(hold: Hold, alice: Actor) -> None:
    one, two = asked(hold, "git push a", "call_1"), asked(hold, "git push b", "call_2")
    three = asked(hold, "git push c && rm x", "call_3")
    assert wait(hold)
    approvals.answer(alice, one.id, "always")
    assert approvals.get(alice, two.id).is_allowed
    assert approvals.get(alice, three.id).state == "waiting"
    assert state_of(alice, hold) == "waiting"
    assert [row.action for row in audited()] == ["approval.release", "approval.answer"]


@pytest.mark.parametrize("scope", ["session", "user", "project"])
def test_always_has_the_scope_that_was_chosen(hold: Hold, alice: Actor, tmp_path: Path, scope: str) -> None:
    approvals.answer(alice, asked(hold).id, "always", scope=scope)
    target = {"session": hold.session.id, "user": alice.user, "project": "prj_app"}[scope]
    assert len(approvals.rules_of(alice, scope, target)) == 1
    other = hold_of(alice, session_of(alice, tmp_path))
    expected = "ask" if scope == "session" else "allow"
    assert approvals.decide(other, bash("git push", "call_5")).action == expected


def test_only_who_may_change_settings_adds_a_rule_for_the_project(alice: Actor, bob: Actor, tmp_path: Path) -> None:
    hold = hold_of(bob, session_of(bob, tmp_path))
    ask = asked(hold)
    with pytest.raises(Denied):
        approvals.answer(bob, ask.id, "always", scope="project")
    assert approvals.get(bob, ask.id).state == "waiting"
    with pytest.raises(Denied, match="somebody else's"):
        approvals.answer(alice, ask.id, "always", scope="user")
    assert approvals.answer(bob, ask.id, "always", scope="user").is_allowed


@pytest.mark.parametrize(("reply", "scope"), [("yes", "session"), ("", "session"), ("always", "galaxy")])
def test_it_refuses_an_answer_without_sense(hold: Hold, alice: Actor, reply: str, scope: str) -> None:
    ask = asked(hold)
    with pytest.raises(Invalid):
        approvals.answer(alice, ask.id, reply, scope=scope)
    assert approvals.get(alice, ask.id).state == "waiting"


def test_an_agent_never_answers(hold: Hold) -> None:
    ask = asked(hold)
    everything = Actor(**{**hold.actor.__dict__, "grants": ("*",)})
    for agent in (hold.actor, everything):
        with pytest.raises(Problem) as refused:
            approvals.answer(agent, ask.id, "once")
        assert refused.value.status in (403, 404)
    with pytest.raises(Denied):
        approvals.add_rule(everything, Rule("bash", "*", "allow"), hold.session.id)


def test_a_stranger_sees_and_answers_nothing(hold: Hold, charlie: Actor) -> None:
    ask = asked(hold)
    with pytest.raises((NotFound, Denied)):
        approvals.get(charlie, ask.id)
    with pytest.raises((NotFound, Denied)):
        approvals.answer(charlie, ask.id, "once")
    with pytest.raises(Unauthenticated):
        approvals.waiting(None)


def test_a_colleague_sees_a_team_sessions_ask_and_may_not_answer_it(hold: Hold, bob: Actor, alice: Actor) -> None:
    ask = asked(hold)
    assert [found.id for found in approvals.waiting(bob)] == [ask.id]
    assert (approvals.count_waiting(bob), approvals.count_waiting(alice)) == (0, 1)
    with pytest.raises(Denied):
        approvals.answer(bob, ask.id, "once")


def test_a_private_sessions_ask_is_its_owners_alone(alice: Actor, bob: Actor, tmp_path: Path) -> None:
    bobs = hold_of(bob, session_of(bob, tmp_path, visibility="private"))
    outsider = accounts.create_user(alice, "Dora", "dora@example.com", "member")
    dora = Actor(outsider.id, "user", outsider.id, "Dora", bob.grants)
    ask = asked(bobs)
    assert approvals.waiting(dora) == []
    with pytest.raises(NotFound):
        approvals.get(dora, ask.id)


def test_an_unknown_ask_is_not_found(alice: Actor) -> None:
    with pytest.raises(NotFound):
        approvals.answer(alice, "per_none", "once")


def test_a_subagents_ask_shows_at_its_parent_and_has_its_rules(hold: Hold, alice: Actor, tmp_path: Path) -> None:
    child = hold_of(alice, session_of(alice, tmp_path, parent_id=hold.session.id))
    grandchild = hold_of(alice, session_of(alice, tmp_path, parent_id=child.session.id))
    one, two = asked(child, "rm a"), asked(grandchild, "rm b")
    assert [found.id for found in approvals.waiting(alice, hold.session.id)] == [one.id, two.id]
    assert [found.id for found in approvals.waiting(alice, child.session.id)] == [one.id, two.id]
    approvals.answer(alice, asked(hold).id, "always")
    assert approvals.decide(child, bash("git push")).action == "allow"


def test_what_was_asked_lately_comes_with_all_that_waits(
    hold: Hold, alice: Actor, bob: Actor, charlie: Actor, tmp_path: Path
) -> None:
    session = hold.session
    for number in (1, 2):
        call = replace(bash(f"make {number}", f"call_{number}"), message_id=f"msg_{number}")
        approvals.answer(alice, approvals.ask(hold, call, approvals.decide(hold, call)).id, "once")
    own = asked(hold)
    seen = hold_of(alice, session_of(alice, tmp_path, parent_id=session.id))
    hidden = hold_of(alice, session_of(alice, tmp_path, parent_id=session.id, visibility="private"))
    below = [asked(one, "rm a") for one in (seen, hidden)]
    every = approvals.asked_since(alice, session)
    assert every == approvals.of_session(alice, session.id)
    assert every[2:] == [approvals.get(alice, one.id) for one in (own, *below)]
    assert approvals.asked_since(alice, session, "msg_2") == every[1:]
    assert approvals.asked_since(alice, session, "msg_3") == every[2:]
    assert approvals.asked_since(bob, session) == approvals.of_session(bob, session.id) == every[:4]
    assert approvals.asked_since(alice, replace(session, id=session.id.replace("_", "x"))) == []
    for nobody, refusal in ((charlie, (NotFound, Denied)), (None, Unauthenticated)):
        with pytest.raises(refusal):
            approvals.asked_since(nobody, session)


def test_what_is_stopped_needs_no_answer(hold: Hold, alice: Actor) -> None:
    ask = asked(hold)
    with db.transaction() as connection:
        assert approvals.withdraw(connection, run_id=hold.run_id) == 1
        assert approvals.withdraw(connection, run_id=hold.run_id) == 0
    assert approvals.waiting(alice) == []
    assert kinds() == ["approvals.asked", "approvals.withdrawn"]
    with pytest.raises(Conflict, match="stopped"):
        approvals.answer(alice, ask.id, "once")


def test_a_lost_lease_cannot_ask(hold: Hold) -> None:
    sessions.release(hold)
    with pytest.raises(sessions.Fenced):
        asked(hold)


def test_a_question_is_answered_with_labels_or_own_words(hold: Hold, alice: Actor) -> None:
    options = [{"label": "Yes", "description": "both"}]
    questions = [{"question": "Keep v1?", "header": "v1", "options": options}]
    ask = approvals.question(hold, Call("question", {"questions": questions}, "call_1", "msg_1"), questions)
    assert ask.id.startswith("que_")
    assert wait(hold)
    with pytest.raises(Invalid):
        approvals.answer_question(alice, ask.id, [])
    with pytest.raises(NotFound):
        approvals.answer(alice, ask.id, "once")
    answered = approvals.answer_question(alice, ask.id, [["Yes"]])
    assert (answered.answers, answered.is_allowed) == ([["Yes"]], True)
    assert state_of(alice, hold) == "queued"
    with pytest.raises(Conflict, match="answered"):
        approvals.reject_question(alice, ask.id)


def test_a_question_may_be_left_unanswered(hold: Hold, alice: Actor) -> None:
    questions = [{"question": "Keep v1?", "header": "v1", "options": []}]
    ask = approvals.question(hold, Call("question", {"questions": questions}, "call_1", "msg_1"), questions)
    assert not approvals.reject_question(alice, ask.id).is_allowed


def test_what_was_answered_today_comes_latest_first(hold: Hold, alice: Actor) -> None:
    one, two = asked(hold, "rm a", "call_1"), asked(hold, "rm b", "call_2")
    approvals.answer(alice, one.id, "once")
    approvals.answer(alice, two.id, "reject")
    assert {found.id for found in approvals.answered_today(alice)} == {one.id, two.id}
    assert len(approvals.answered_today(alice, limit=1)) == 1


def test_an_answer_is_audited_with_the_exact_call(hold: Hold, alice: Actor) -> None:
    ask = asked(hold)
    approvals.answer(alice, ask.id, "always")
    (row,) = audited()
    assert (row.action, row.target, row.actor) == ("approval.answer", ask.id, alice.id)
    assert row.detail["input"] == {"command": "git push"}
    assert row.detail["call"] == ask.call_hash
    assert row.detail["rules"] == ask.always


def test_no_secret_gets_into_the_record_of_answers(hold: Hold, alice: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redact, "_live", redact.Redactor({"SHOP": SECRET}))
    one, two = asked(hold, f"git push {SECRET}", "call_1"), asked(hold, f"git push {SECRET} b", "call_2")
    approvals.answer(alice, one.id, "always", f"not {SECRET} again")
    assert approvals.get(alice, two.id).is_allowed
    sessions.delete(alice, sessions.update(alice, hold.session.id, title=f"With {SECRET}").id)
    with db.read() as connection:
        details = str([row.detail for row in connection.execute(record.audit_rows.select())])
    assert SECRET not in details
    assert details.count("[secret:SHOP]") >= 4


def test_a_rule_can_be_added_and_taken_back(hold: Hold, alice: Actor, bob: Actor) -> None:
    approvals.add_rule(alice, Rule("bash", "rm *", "deny", "server"))
    assert approvals.decide(hold, bash("ls && rm x")).action == "deny"
    (stored,) = approvals.rules_of(alice, "server")
    with pytest.raises(Denied):
        approvals.remove_rule(bob, stored.id)
    approvals.remove_rule(alice, stored.id)
    assert approvals.decide(hold, bash("rm x")).action == "ask"
    with pytest.raises(NotFound):
        approvals.remove_rule(alice, stored.id)


def test_rules_from_settings_count_below_those_of_people(hold: Hold, alice: Actor) -> None:
    given = [Rule("bash", "rm *", "deny", "server")]
    assert approvals.decide(hold, bash("rm x"), given=given).action == "deny"
    allowing = [Rule("bash", "ls *", "allow", "project")]
    assert approvals.decide(hold, bash("ls"), given=allowing).action == "allow"


@pytest.mark.parametrize(
    ("call", "legible"),
    [
        (bash("git push"), True),
        (bash("a\nb"), False),
        (bash("x" * 200), False),
        (bash("ls \u202e"), False),
        (Call("bash", {"command": "ls", "env": {}}, "c", "m"), False),
        (Call("write", {"filePath": "a"}, "c", "m"), False),
        (Call("read", {"filePath": "/etc/x"}, "c", "m"), True),
        (Call("webfetch", {"url": "https://x.org"}, "c", "m"), True),
        (Call("webfetch", {"url": "https://x.org", "format": "text", "timeout": 9}, "c", "m"), True),
        (Call("webfetch", {"url": "https://x.org", "headers": {}}, "c", "m"), False),
        (Call("crm", {"a": 1}, "c", "m"), False),
    ],
)
def test_a_row_may_answer_only_what_is_legible_on_it(hold: Hold, call: Call, legible: bool) -> None:
    ask = approvals.ask(hold, call, approvals.decide(hold, call))
    assert approvals.is_legible(ask) is legible


def test_an_agent_gives_a_session_no_rules(alice: Actor, tmp_path: Path) -> None:
    approvals.start()
    session = session_of(alice, tmp_path)
    deny = [{"tool": "bash", "pattern": "*", "action": "deny"}]
    agent = hold_of(alice, session).actor
    with pytest.raises(Denied, match="never changes what it may do"):
        sessions.update(agent, session.id, own_rules=deny)
    with pytest.raises(Denied):
        session_of(agent, tmp_path, own_rules=deny)
    assert approvals.rules_of(alice, "session", session.id) == []
    sessions.update(alice, session.id, own_rules=deny)
    assert [rule.created_by for rule in approvals.rules_of(alice, "session", session.id)] == [alice.id]


def test_rules_that_nobody_can_keep_are_refused(alice: Actor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from app.sessions.service import rules

    monkeypatch.setattr(rules, "_keep", None)
    with pytest.raises(Unavailable):
        session_of(alice, tmp_path, own_rules=[{"tool": "bash", "pattern": "*", "action": "deny"}])


@pytest.mark.parametrize("scope", ["user", "server"])
def test_a_token_bound_to_a_project_adds_no_rule_for_others(alice: Actor, hold: Hold, scope: str) -> None:
    ask = asked(hold)
    wait(hold)
    bound = replace(alice, id="tok_1", kind="token", token="tok_1", project="prj_app")
    with pytest.raises(Denied):
        approvals.answer(bound, ask.id, "always", scope=scope)
    assert approvals.get(alice, ask.id).state == "waiting"
    assert approvals.answer(bound, ask.id, "always", scope="project").added
