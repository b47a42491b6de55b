"""Messages that stand still are drawn once for many views, and each view still shows its viewer what is so now."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import jinja2.meta
import jinja2.nodes
import pytest
from flask import g

from app.actor import Actor
from app.dialects.mount import Cabin
from app.projects import service as projects
from app.sessions import service
from app.sessions.pages import drawn
from app.sessions.pages.drawn import Drawer, Kept
from app.sessions.service import Message, Part, Session
from app.web import csrf_token

EDIT = {
    "callID": "call_1",
    "tool": "edit",
    "state": {
        "status": "completed",
        "input": {"filePath": "prices.py"},
        "output": "Edited.",
        "title": "prices.py",
        "metadata": {"diff": "--- a\n+++ b\n@@ -1 +1 @@\n-old\n+new\n"},
        "time": {"start": 1_000, "end": 2_000},
    },
}


@dataclass
class Asked:
    """An ask, as far as a transcript knows one."""

    id: str = "ask_1"
    state: str = "answered"
    answered_by: str = ""
    answered_name: str = "Alice"
    reply: str = "once"
    kind: str = "approval"
    tool: str = "edit"
    title: str = "prices.py"
    input: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    session_id: str = ""
    created: int = 2_500
    why: str = "no rule matches"
    parts: tuple[Any, ...] = ()
    always: tuple[Any, ...] = ()
    word: str = ""
    answered: int = 3_000
    added: tuple[Any, ...] = ()
    owner: str = ""
    project: str = ""
    visibility: str = "team"


class View:
    """Draws for one viewer and counts how often a template had to."""

    def __init__(self, actor: Actor, session: Session, asks: dict[str, Any] | None = None) -> None:
        self._given = actor, session, asks or {}
        self.rendered = 0

    def __call__(self, message: Message) -> str:
        actor, session, asks = self._given
        g.actor = actor
        drawer = Drawer(actor, session, asks, "Alice", {})
        render = drawer._render

        def counted(message: Message) -> str:
            self.rendered += 1
            return render(message)

        drawer._render = counted  # type: ignore[method-assign]
        return str(drawer.draw(message))


@pytest.fixture(autouse=True)
def kept(monkeypatch: pytest.MonkeyPatch) -> Kept:
    """Nothing of other tests is kept."""
    mine = Kept()
    monkeypatch.setattr(drawn, "_kept", mine)
    return mine


@pytest.fixture(autouse=True)
def request_of_alice(app: Cabin) -> Iterator[None]:
    """The request of a browser that has Alice's cookie."""
    with app.test_request_context(headers={"Cookie": "sid=hers"}):
        yield


@pytest.fixture
def session(app: Cabin, alice: Actor) -> Session:
    """A session of Alice's on the sample."""
    return service.create(alice, projects.resolve(alice, None), provider="demo", model="walkthrough", title="Fix it")


def message(session: Session, *parts: tuple[str, dict[str, Any]], **data: Any) -> Message:
    """A message of the agent's with these parts."""
    made = [Part(f"prt_{n}", "msg_1", session.id, kind, given) for n, (kind, given) in enumerate(parts)]
    return Message("msg_1", session.id, "assistant", data, 1_000, 2_000, made)


def test_what_stands_still_is_drawn_once(alice: Actor, session: Session) -> None:
    view = View(alice, session)
    said = message(session, ("text", {"text": "All *done*."}), ("tool", EDIT))
    first = view(said)
    assert "<em>done</em>" in first
    assert "prices.py" in first
    assert view(said) == first
    assert view.rendered == 1


def test_what_has_changed_is_drawn_anew(alice: Actor, session: Session) -> None:
    view = View(alice, session)
    view(message(session, ("text", {"text": "Half of i"})))
    assert "Half of it." in view(message(session, ("text", {"text": "Half of it."})))
    failed = message(session, ("text", {"text": "Half of it."}), error={"name": "Gone", "data": {"message": "no more"}})
    assert "no more" in view(failed)
    assert view.rendered == 3


def test_a_call_that_runs_is_drawn_each_time(alice: Actor, session: Session) -> None:
    view = View(alice, session)
    runs = {**EDIT, "state": {**EDIT["state"], "status": "running"}}  # type: ignore[dict-item]
    for _ in range(2):
        view(message(session, ("tool", runs)))
    assert view.rendered == 2


def test_an_ask_that_waits_is_drawn_each_time_and_its_answer_once(alice: Actor, session: Session) -> None:
    said = message(session, ("tool", EDIT))
    waits = View(alice, session, {"call_1": Asked(state="waiting", owner=alice.user, session_id=session.id)})
    answered = View(alice, session, {"call_1": Asked(answered_by="usr_bob", answered_name="Bob")})
    for _ in range(2):
        assert "Why asked" in waits(said)
        assert "Bob" in answered(said)
    assert (waits.rendered, answered.rendered) == (2, 1)


def test_who_answered_is_you_for_one_viewer_alone(alice: Actor, bob: Actor, session: Session) -> None:
    said = message(session, ("tool", EDIT))
    asks = {"call_1": Asked(answered_by=alice.id)}
    assert "You " in View(alice, session, asks)(said)
    assert "Alice " in View(bob, session, asks)(said)


def test_each_viewer_gets_the_forms_that_they_may_send(alice: Actor, bob: Actor, session: Session) -> None:
    said = message(session, ("tool", EDIT))
    assert "Undo" in View(alice, session)(said)
    assert "Undo" not in View(bob, session)(said)


def test_the_forms_carry_the_token_of_their_own_browser(app: Cabin, alice: Actor, session: Session) -> None:
    said = message(session, ("tool", EDIT))
    mine = csrf_token()
    assert mine in View(alice, session)(said)
    with app.test_request_context(headers={"Cookie": "sid=another"}):
        view = View(alice, session)
        html = view(said)
        assert csrf_token() in html
        assert mine not in html
    assert view.rendered == 0


def test_links_lead_to_where_the_server_is_seen(app: Cabin, alice: Actor, session: Session) -> None:
    said = message(session, ("tool", EDIT))
    View(alice, session)(said)
    with app.test_request_context(base_url="http://localhost/below"):
        assert 'action="/below/sessions/' in View(alice, session)(said)


def test_a_session_that_moved_is_drawn_anew(alice: Actor, session: Session) -> None:
    said = message(session, ("tool", EDIT))
    View(alice, session)(said)
    assert "elsewhere" in View(alice, replace(session, directory="/elsewhere"))(said)


def test_what_is_kept_has_its_bounds() -> None:
    kept = Kept(room=10)
    for name in (b"a", b"b"):
        kept.put(name, "12345")
    assert kept.get(b"a") == "12345"
    kept.put(b"c", "1")
    assert [kept.get(name) for name in (b"a", b"b", b"c")] == ["12345", None, "1"]
    kept.put(b"c", "1")
    kept.put(b"d", "1234")
    assert kept.get(b"a") == "12345"


def test_what_a_message_shows_depends_on_nothing_else(app: Cabin) -> None:
    """Whoever lets these templates read more has to put it into the digest, or draw it each time."""
    known = {
        *("message", "part", "session", "person", "asks", "subagents", "ask", "me", "late"),  # drawn.py says how
        *("files", "patch", "path", "narrow"),  # of the part, given by the template that includes
        *("ui", "icon", "lines", "may", "url_for"),
        "now",  # while a call runs
    }
    read: set[str] = set()
    for name in ("sessions/_message", "sessions/_part", "sessions/_tool", "checkpoints/_files", "checkpoints/_diff"):
        assert app.jinja_env.loader is not None
        source = app.jinja_env.loader.get_source(app.jinja_env, f"{name}.html")[0]
        template = app.jinja_env.parse(source)
        own = {name.name for name in template.find_all(jinja2.nodes.Name) if name.ctx == "store"}
        own |= {macro.name for macro in template.find_all(jinja2.nodes.Macro)}
        read |= jinja2.meta.find_undeclared_variables(template) - own
    assert read - known == set()
