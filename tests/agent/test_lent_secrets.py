"""A session's commands get what was granted to its project, and what they print of it shows nowhere."""

from __future__ import annotations

import base64
import logging
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import orjson
import pytest

from app import db, redact
from app.actor import Actor
from app.agent import service as agent
from app.audit import service as audit
from app.config import Config
from app.dialects.mount import Cabin
from app.projects import service as projects
from app.secrets import service as vault
from tests.agent.talk import Talk, text_of
from tests.conftest import Caller
from tests.model_server import Call, ModelServer, Say
from tests.visitor import Browser

VALUE = 'sk-live/51H8x+"the" value=&%'
FORMS = {
    "plain": VALUE,
    "base64": base64.b64encode(VALUE.encode()).decode(),
    "base64 with its line end": base64.b64encode(f"{VALUE}\n".encode()).decode(),
    "url": quote(VALUE, safe=""),
    "json": orjson.dumps(VALUE).decode()[1:-1],
}
EVERY_FORM = (
    'echo "$TOKEN"; printf %s "$TOKEN" | base64 -w0; echo; echo "$TOKEN" | base64 -w0; echo;'
    ' python3 -c \'import json,os,urllib.parse as u; t=os.environ["TOKEN"]; print(u.quote(t, safe=""), json.dumps(t))\';'
    ' printf %s "$TOKEN" | cut -c1-9 | tr -d "\\n"; sleep 0.3; printf %s "$TOKEN" | cut -c10-; echo "$TOKEN" >&2'
)


@pytest.fixture
def settings(settings: Config, workspace: Path, model_server: ModelServer, monkeypatch: pytest.MonkeyPatch) -> Config:
    """A server on the small project, whose model is the model server."""
    monkeypatch.setenv("OPENAI_BASE_URL", model_server.url)
    monkeypatch.setenv("OPENAI_API_KEY", "test-key")
    monkeypatch.setattr(redact, "_live", redact.Redactor())
    return replace(settings, project=workspace, model="openai/scripted")


@pytest.fixture
def talk(app: Cabin, alice: Actor) -> Talk:
    """A session in a project that was granted TOKEN, not OTHER."""
    talk = Talk(alice)
    vault.put(alice, "platform", "TOKEN", VALUE)
    vault.put(alice, "platform", "OTHER", "another-long-value")
    vault.grant(alice, "platform", "TOKEN", talk.session.project)
    return talk


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """What is logged, behind the filter that the server puts on its handlers."""
    caplog.set_level(logging.DEBUG)
    return caplog


def holds(raw: bytes) -> list[str]:
    """The forms of the value that some bytes hold."""
    return [name for name, form in FORMS.items() if form.encode() in raw]


def everything(settings: Config) -> bytes:
    """All that the server has put on disk: database, logs of it, keys, scratch files, copies."""
    with db.transaction() as conn:
        conn.exec_driver_sql("SELECT 1")
    return b"".join(path.read_bytes() for path in settings.data_dir.rglob("*") if path.is_file())


def test_a_command_prints_it_in_every_form_and_it_shows_nowhere(
    talk: Talk,
    call: Caller,
    browser: Browser,
    settings: Config,
    model_server: ModelServer,
    log: pytest.LogCaptureFixture,
) -> None:
    model_server.script = [[Call("bash", {"command": EVERY_FORM})], [Say("Done.")]]
    talk.say("print it")
    talk.answer()
    talk.until_idle()
    [tool] = talk.tools()
    assert tool["state"]["output"].count("[secret:TOKEN]") == 7, tool["state"]["output"]
    assert holds(repr(talk.seen).encode()) == []
    told = b"".join(orjson.dumps(request) for request in model_server.requests)
    assert holds(told) == []
    transcript = call.get(f"/session/{talk.id}/message")
    page = browser.get(f"/sessions/{talk.id}")
    assert "[secret:TOKEN]" in transcript.text
    assert "[secret:TOKEN]" in page.text
    assert (holds(transcript.data), holds(page.data), holds(log.text.encode())) == ([], [], [])
    assert holds(everything(settings)) == []
    [row] = audit.entries(talk.actor, [audit.Condition("action", "secrets.lend")])
    assert (row.actor_kind, row.target) == ("agent", "platform/TOKEN")
    [row] = audit.entries(talk.actor, [audit.Condition("action", "tool.run")])
    assert (row.actor_kind, row.user) == ("agent", talk.actor.user)


def test_a_long_output_is_cut_and_kept_aside_without_it(
    talk: Talk, settings: Config, model_server: ModelServer
) -> None:
    command = 'for n in $(seq 1 12000); do echo "$TOKEN"; done'
    model_server.script = [[Call("bash", {"command": command})], [Say("Done.")]]
    talk.say("print it often")
    talk.answer()
    talk.until_idle()
    [tool] = talk.tools()
    output = tool["state"]["output"]
    assert tool["state"]["metadata"]["truncated"] is True
    for size in (9, len(VALUE) - 9):  # no half of one at the cuts, either
        assert VALUE[:size] not in output
        assert VALUE[-size:] not in output
    assert holds(everything(settings)) == []


def test_ones_own_command_gets_it_too_and_only_what_was_granted(talk: Talk, settings: Config) -> None:
    prompt, _run = agent.run_shell(talk.actor, talk.id, 'echo "$TOKEN/$OTHER."', ())
    talk.until_idle()
    [answer] = talk.answers(prompt.id)
    [state] = [part.data["state"] for part in answer.parts if part.type == "tool"]
    assert state["output"].strip() == "[secret:TOKEN]/."
    vault.take_away(talk.actor, "platform", "TOKEN", talk.session.project)
    prompt, _run = agent.run_shell(talk.actor, talk.id, 'echo "$TOKEN."', ())
    talk.until_idle()
    [answer] = talk.answers(prompt.id)
    assert [part.data["state"]["output"].strip() for part in answer.parts if part.type == "tool"] == ["."]
    assert holds(everything(settings)) == []


@pytest.mark.parametrize("size", [1, 5, 0], ids=["letter by letter", "in pieces", "whole"])
def test_a_model_that_says_it_is_not_heard(talk: Talk, settings: Config, model_server: ModelServer, size: int) -> None:
    model_server.script = [[Say(f"It is {VALUE}, in short {FORMS['base64']}.", size=size)]]
    [answer] = talk.ask("what is it?")
    assert text_of(answer) == "It is [secret:TOKEN], in short [secret:TOKEN]."
    assert holds(repr(talk.seen).encode()) == []
    assert holds(everything(settings)) == []


def test_a_model_that_hands_it_to_a_tool_hands_over_its_name(
    talk: Talk, settings: Config, model_server: ModelServer
) -> None:
    model_server.script = [[Call("write", {"filePath": "leak.txt", "content": VALUE})], [Say("Done.")]]
    talk.say("leak it")
    talk.answer()
    talk.until_idle()
    assert (Path(talk.session.directory) / "leak.txt").read_text() == "[secret:TOKEN]"
    assert holds(everything(settings)) == []


def test_what_a_command_wrote_with_it_shows_no_more_in_the_sessions_changes(
    talk: Talk, call: Caller, browser: Browser, model_server: ModelServer
) -> None:
    model_server.script = [[Call("bash", {"command": 'echo "KEY=$TOKEN" > .env.local'})], [Say("Done.")]]
    talk.say("write it down")
    talk.answer()
    talk.until_idle()
    assert VALUE in (Path(talk.session.directory) / ".env.local").read_text()
    told, page = call.get(f"/session/{talk.id}/diff"), browser.get(f"/sessions/{talk.id}/changes")
    assert (told.status_code, page.status_code) == (200, 200)
    assert "KEY=[secret:TOKEN]" in told.json[0]["after"]
    assert (holds(told.data), holds(page.data)) == ([], [])


def test_a_project_that_leaves_the_list_has_no_grants_any_more(talk: Talk) -> None:
    assert vault.list_all(talk.actor)[-1].projects == (talk.session.project,)
    projects.remove(talk.actor, talk.session.project)
    assert vault.list_all(talk.actor)[-1].projects == ()


def test_the_servers_log_is_behind_the_filter(app: Cabin) -> None:
    assert all(
        any(isinstance(one, redact.LogFilter) for one in handler.filters) for handler in logging.getLogger().handlers
    )
