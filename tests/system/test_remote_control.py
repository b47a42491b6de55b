"""The remote control of OpenCode: a person's own interfaces are told what to do, and nobody else's."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app import db, record
from app.accounts.grants import ROLES
from app.actor import Actor
from app.dialects.mount import Cabin
from app.errors import Denied
from app.events import service as events
from app.projects import service as projects
from app.sessions import service as sessions
from app.system import service
from app.system.events import ControlAnswered, InterfaceTold
from tests.conftest import Caller, member
from tests.dialects.opencode_schemas import check_refusal

PATIENCE = 30.0
NONE = "ses_" + "0" * 26
TOAST = {"message": "M", "variant": "info"}
ASKS: list[tuple[str, Any, str, dict[str, Any]]] = [
    ("append-prompt", {"text": "hello"}, "tui.prompt.append", {"text": "hello"}),
    ("open-help", None, "tui.command.execute", {"command": "help.show"}),
    ("open-sessions", None, "tui.command.execute", {"command": "session.list"}),
    ("open-themes", None, "tui.command.execute", {"command": "theme.switch"}),
    ("open-models", None, "tui.command.execute", {"command": "model.list"}),
    ("submit-prompt", None, "tui.command.execute", {"command": "prompt.submit"}),
    ("clear-prompt", None, "tui.command.execute", {"command": "prompt.clear"}),
    ("execute-command", {"command": "agent_cycle"}, "tui.command.execute", {"command": "agent.cycle"}),
    ("execute-command", {"command": "agent.cycle"}, "tui.command.execute", {"command": "agent.cycle"}),
    ("execute-command", {"command": "nope"}, "tui.command.execute", {}),
    ("show-toast", TOAST, "tui.toast.show", {**TOAST, "duration": 5000}),
    ("show-toast", {**TOAST, "title": "T", "duration": 10}, "tui.toast.show", {**TOAST, "title": "T", "duration": 10}),
    ("publish", {"type": "tui.prompt.append", "properties": {"text": "x"}}, "tui.prompt.append", {"text": "x"}),
    ("publish", {"type": "tui.toast.show", "properties": TOAST}, "tui.toast.show", {**TOAST, "duration": 5000}),
    (
        "publish",
        {"type": "tui.command.execute", "properties": {"command": "prompt.clear"}},
        "tui.command.execute",
        {"command": "prompt.clear"},
    ),
]
BAD: list[tuple[str, Any]] = [
    ("append-prompt", {}),
    ("append-prompt", {"text": 5}),
    ("append-prompt", {"text": "x" * 50_001}),
    ("execute-command", {}),
    ("show-toast", {"message": "M", "variant": "bad"}),
    ("show-toast", {**TOAST, "duration": 0}),
    ("publish", {"type": "nope"}),
    ("publish", {"type": "session.deleted", "properties": {}}),
    ("publish", {"type": "tui.toast.show", "properties": {"message": "M"}}),
    ("select-session", {"sessionID": "x"}),
    ("control/response", "x" * 70_000),
]


@pytest.fixture
def shop(app: Cabin, alice: Actor, tmp_path: Path) -> Path:
    root = tmp_path / "shop"
    root.mkdir()
    projects.add(alice, str(root))
    return root


class Looks:
    """Says when a reader of the control queue has begun to wait."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._begun = threading.Event()
        self._follow = service.follow
        monkeypatch.setattr(service, "follow", self.follow)

    def follow(self, actor: Actor, directory: str | None) -> events.Subscription:
        """The verb itself."""
        followed = self._follow(actor, directory)
        self._begun.set()
        return followed

    def wait(self) -> None:
        """Return once somebody waits."""
        assert self._begun.wait(PATIENCE)


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> Looks:
    return Looks(monkeypatch)


def told(actor: Actor, ask: Callable[[], Any]) -> InterfaceTold:
    """What the actor's interfaces are told first, once this is asked."""
    keep: Callable[[events.Fact], bool] = lambda fact: isinstance(fact.event, InterfaceTold)  # noqa: E731
    with events.subscribe(actor, keep=keep) as subscription:
        ask()
        found = next(subscription.facts(PATIENCE))
    assert found is not None
    assert isinstance(found.event, InterfaceTold)
    return found.event


@pytest.mark.parametrize(("name", "body", "kind", "properties"), ASKS)
def test_an_interface_is_told_what_was_asked_for(
    call: Caller, alice: Actor, name: str, body: Any, kind: str, properties: dict[str, Any]
) -> None:
    def ask() -> None:
        answer = call.post(f"/opencode/tui/{name}", body)
        assert (answer.status_code, answer.json) == (200, True)

    event = told(alice, ask)
    assert (event.type, event.properties, event.path) == (kind, properties, f"/tui/{name}")


@pytest.mark.parametrize(("name", "body"), BAD)
def test_what_is_no_request_is_refused(call: Caller, name: str, body: Any) -> None:
    answer = call.post(f"/opencode/tui/{name}", body)
    assert answer.status_code == 400
    assert answer.json["success"] is False


def test_a_stranger_is_turned_away(stranger: Caller) -> None:
    for name in sorted({name for name, *_ in ASKS} | {"select-session", "control/response"}):
        check_refusal(stranger.post(f"/opencode/tui/{name}", {}), 401, "UnauthorizedError")
    check_refusal(stranger.get("/opencode/tui/control/next"), 401, "UnauthorizedError")


def test_who_may_run_nothing_steers_nothing(app: Cabin, alice: Actor) -> None:
    viewer = member(alice, "Bob", "viewer")
    for verb in (
        lambda: service.tell(viewer, None, "tui.prompt.append", {"text": "x"}, "/tui/append-prompt", {}),
        lambda: service.select(viewer, None, NONE, "/tui/select-session", {}),
        lambda: service.follow(viewer, None),
        lambda: service.answer(viewer, None, {}),
    ):
        with pytest.raises(Denied):
            verb()


def test_a_session_is_shown_if_it_may_be_read(call: Caller, alice: Actor, charlie: Actor, shop: Path) -> None:
    session = sessions.create(alice, projects.resolve(alice, str(shop)))
    event = told(alice, lambda: call.post("/opencode/tui/select-session", {"sessionID": session.id}))
    assert (event.type, event.properties) == ("tui.session.select", {"sessionID": session.id})
    assert call.post("/opencode/tui/select-session", {"sessionID": NONE}).status_code == 404
    publish = {"type": "tui.session.select", "properties": {"sessionID": NONE}}
    assert call.post("/opencode/tui/publish", publish).status_code == 404


def test_nobody_hears_what_another_ones_interfaces_are_told(app: Cabin, alice: Actor, bob: Actor) -> None:
    """Not even the owner, who reads everything else of everybody."""
    assert "*" in ROLES["owner"]
    everything: Callable[[events.Fact], bool] = lambda fact: isinstance(fact.event, InterfaceTold)  # noqa: E731
    with events.subscribe(alice, keep=everything) as hers:
        service.tell(bob, None, "tui.prompt.append", {"text": "bob's"}, "/tui/append-prompt", {})
        service.tell(alice, None, "tui.prompt.append", {"text": "alice's"}, "/tui/append-prompt", {})
        first = next(hers.facts(PATIENCE))
    assert first is not None
    assert first.event.properties == {"text": "alice's"}  # type: ignore[attr-defined]


def test_who_is_held_to_one_project_steers_nothing_elsewhere(app: Cabin, alice: Actor, shop: Path, bob: Actor) -> None:
    project = projects.resolve(alice, str(shop)).project
    held = replace(bob, project=project.id)
    event = told(bob, lambda: service.tell(held, None, "tui.prompt.append", {"text": "x"}, "/tui/append-prompt", {}))
    assert event.directory == str(shop)


def test_a_directory_of_nobody_is_refused(call: Caller, tmp_path: Path) -> None:
    answer = call.post(f"/opencode/tui/open-help?directory={tmp_path}")
    assert answer.status_code in (403, 404)


def test_the_control_queue_waits_and_then_gives_what_is_asked_for(call: Caller, looks: Looks, shop: Path) -> None:
    with ThreadPoolExecutor() as pool:
        first = pool.submit(call.get, "/opencode/tui/control/next")
        looks.wait()
        call.post(f"/opencode/tui/append-prompt?directory={shop}", {"text": "one"})
        answer = first.result(PATIENCE)
    assert answer.json == {"path": "/tui/append-prompt", "body": {"text": "one"}}


def test_the_control_queue_keeps_what_comes_between_two_looks(call: Caller, looks: Looks) -> None:
    with ThreadPoolExecutor() as pool:
        first = pool.submit(call.get, "/opencode/tui/control/next")
        looks.wait()
        for text in ("one", "two", "three"):
            call.post("/opencode/tui/append-prompt", {"text": text})
        texts = [first.result(PATIENCE).json["body"]["text"]]
    texts += [call.get("/opencode/tui/control/next").json["body"]["text"] for _ in range(2)]
    assert texts == ["one", "two", "three"]


def test_an_answer_names_the_request_that_was_given_last(call: Caller, looks: Looks) -> None:
    with ThreadPoolExecutor() as pool:
        first = pool.submit(call.get, "/opencode/tui/control/next")
        looks.wait()
        call.post("/opencode/tui/open-help")
        first.result(PATIENCE)
    for _ in range(2):
        assert call.post("/opencode/tui/control/response", {"ok": True}).json is True
    assert answered() == [("/tui/open-help", {"ok": True}), ("", {"ok": True})]


def answered() -> list[tuple[str, Any]]:
    """The answers that are kept, with the requests they are for."""
    table = record.events
    with db.read() as connection:
        query = table.select().where(table.c.kind == ControlAnswered.kind).order_by(table.c.seq)
        return [(row.data["path"], row.data["body"]) for row in connection.execute(query)]


def test_a_token_has_no_interface_do_what_it_may_not_do_itself(app: Cabin, alice: Actor, bob: Actor) -> None:
    agent = replace(bob, id="tok_1", kind="agent", token="tok_1")
    runs = replace(
        bob, id="tok_2", kind="token", token="tok_2", grants=("sessions:run", "sessions:read", "events:read")
    )

    def press(actor: Actor, command: str) -> None:
        service.tell(actor, None, "tui.command.execute", {"command": command}, "/tui/execute-command", {})

    for actor in (agent, runs):
        # A prompt that begins with `!` is a command of the person's own, and runs unasked.
        service.tell(actor, None, "tui.prompt.append", {"text": "!id"}, "/tui/append-prompt", {})
        for command in ("prompt.submit", "input_submit", "session.share", "session_share"):
            with pytest.raises(Denied):
                press(actor, command)
        press(actor, "session.list")
    with pytest.raises(Denied):
        press(agent, "session.delete")
    for command in ("prompt.submit", "session.share", "session.delete"):
        press(bob, command)
