"""Commands that are typed into a composer, without scripts: `!` runs, `/name` sends, and everything else is a prompt."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.actor import Actor
from app.config import Config
from app.dialects.mount import Cabin
from app.sessions import service as sessions
from tests.agent.talk import Talk, text_of
from tests.conftest import member
from tests.model_server import ModelServer
from tests.visitor import Browser, is_whole


@pytest.fixture
def settings(settings: Config, workspace: Path, model_server: ModelServer, monkeypatch: pytest.MonkeyPatch) -> Config:
    """A server on the small project, which has a command of its own, and whose model is the model server."""
    monkeypatch.setenv("OPENAI_BASE_URL", model_server.url)
    monkeypatch.setenv("OPENAI_API_KEY", "test-key")
    written = workspace / ".opencode/command/greet.md"
    written.parent.mkdir(parents=True)
    written.write_text("---\ndescription: Greets <somebody>\n---\n[[say Hello $ARGUMENTS]]\n")
    return replace(settings, project=workspace, model="openai/scripted")


@pytest.fixture
def talk(app: Cabin, alice: Actor) -> Talk:
    """A session that asks before it changes anything."""
    return Talk(alice)


def send(browser: Browser, talk: Talk, text: str, **more: Any) -> Any:
    """Send the composer's form."""
    return browser.post(
        f"/sessions/{talk.id}/send", {"text": text, "mode": "build", "model": "openai/scripted", **more}
    )


def test_a_line_after_a_bang_runs_as_ones_own_command(browser: Browser, talk: Talk, model_server: ModelServer) -> None:
    assert send(browser, talk, "!printf '\\033[32mgreen\\033[0m'; exit 2").status_code == 303
    talk.until_idle()
    [tool] = talk.tools()
    assert (tool["state"]["status"], tool["state"]["metadata"]["exit"]) == ("completed", 2)
    assert model_server.requests == []
    page = browser.get(f"/sessions/{talk.id}").text
    assert '<span class="sgr-green">green</span>' in page
    assert "exit 2" in page
    assert 'title="Owner"' in page.partition('class="message assistant"')[2]
    assert "executed by the user" not in page


def test_a_script_of_a_form_has_the_ends_of_lines_that_a_shell_knows(browser: Browser, talk: Talk) -> None:
    send(browser, talk, "!for n in 1 2; do\r\n  echo $n\r\ndone\r\n")
    talk.until_idle()
    assert talk.tools()[0]["state"]["output"] == "1\n2\n"


def test_a_busy_session_says_that_it_is(browser: Browser, talk: Talk) -> None:
    send(browser, talk, "!echo begun; until [ -e go ]; do sleep 0.05; done")
    talk.until_tool("running", "begun")
    answer = send(browser, talk, "!echo second")
    assert answer.status_code == 409
    assert "The session is busy" in answer.text
    (Path(talk.session.directory) / "go").touch()
    talk.until_idle()
    assert len(talk.tools()) == 1


def test_a_name_after_a_slash_sends_that_command(browser: Browser, talk: Talk) -> None:
    send(browser, talk, "/greet Bob and\r\nAlice")
    talk.until_idle()
    prompt, answer = sessions.transcript(talk.actor, talk.id)
    assert prompt.parts[0].data["metadata"] == {"command": {"name": "greet", "arguments": "Bob and\r\nAlice"}}
    assert text_of(answer).startswith("Hello Bob")
    assert sessions.get(talk.actor, talk.id).title.startswith("/greet Bob and")
    page = browser.get(f"/sessions/{talk.id}").text
    assert '<b class="mono">/greet</b> Bob and' in page
    assert "What the agent was told" in page


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("/nothing such", "/nothing such"),
        ("/greeting", "/greeting"),
        ("/etc/hosts is wrong", "/etc/hosts is wrong"),
        ("Say /greet", "Say /greet"),
        ("!", "!"),
        (r"\!echo x", "!echo x"),
        (r"\/greet Bob", "/greet Bob"),
        (r"\d is a digit", r"\d is a digit"),
    ],
)
def test_other_words_are_a_prompt(browser: Browser, talk: Talk, text: str, words: str) -> None:
    send(browser, talk, text)
    talk.until_idle()
    prompt = sessions.transcript(talk.actor, talk.id)[0]
    assert [part.data["text"] for part in prompt.parts] == [words]
    assert talk.tools() == []


def test_files_go_with_a_command_of_words_but_with_none_that_runs(browser: Browser, talk: Talk) -> None:
    def attached() -> dict[str, Any]:
        return {"files": (io.BytesIO(b"Hello"), "note.txt", "text/plain")}

    refused = send(browser, talk, "!cat note.txt", **attached())
    assert refused.status_code == 400
    send(browser, talk, "/greet Bob", **attached())
    talk.until_idle()
    prompt = sessions.transcript(talk.actor, talk.id)[0]
    assert [part.data["filename"] for part in prompt.parts if part.type == "file"] == ["note.txt"]


def test_home_begins_a_session_with_either(browser: Browser, alice: Actor) -> None:
    for text in ("!echo here", "/greet Bob"):
        answer = browser.post("/sessions", {"text": text, "model": "openai/scripted"})
        assert answer.status_code == 303
        told = sessions.transcript(alice, answer.headers["Location"].rpartition("/")[2])[0]
        assert "typed" in told.data or told.parts[0].data["metadata"]["command"]["name"] == "greet"


def test_the_commands_are_a_page_and_a_fragment(browser: Browser, talk: Talk) -> None:
    page = browser.get(f"/commands?at={talk.id}")
    assert is_whole(page)
    assert "Greets &lt;somebody&gt;" in page.text
    assert f'href="/sessions/{talk.id}?text=/greet+#words"' in page.text
    fragment = browser.get(f"/commands?at={talk.id}", headers={"HX-Request": "true"}).text
    assert "<html" not in fragment
    assert [f'data-put="/{name} "' in fragment for name in ("greet", "init", "review", "none")] == [
        True, True, True, False,
    ]  # fmt: skip
    shown = browser.get(f"/sessions/{talk.id}?text=/greet+").text
    assert ">/greet </textarea>" in shown


def test_commands_are_those_of_the_project_and_of_nobody_elses_session(
    app: Cabin, browser: Browser, talk: Talk, alice: Actor, bob: Actor
) -> None:
    assert "/greet" in browser.get(f"/commands?project={talk.session.project}").text
    sessions.update(alice, talk.id, visibility="private")
    assert Browser(app, bob).get(f"/commands?at={talk.id}").status_code == 404
    assert browser.get("/commands?at=ses_nothere").status_code == 404
    assert browser.get("/commands?project=prj_nothere").status_code == 404


def test_the_command_bar_lists_them(browser: Browser, talk: Talk) -> None:
    page = browser.get(f"/search?q=/gre&at={talk.id}").text
    assert "<h2>Commands</h2>" in page
    assert page.index("<h2>Commands</h2>") < page.index("<h2>Actions</h2>")
    assert f'href="/sessions/{talk.id}?text=/greet+#words"' in page
    assert "Greets &lt;somebody&gt;" in page
    assert "<h2>Commands</h2>" in browser.get(f"/search?at={talk.id}").text
    assert "text=/greet" in browser.get("/search?q=greets").text


def test_who_reads_along_is_offered_none_and_may_send_none(app: Cabin, talk: Talk, alice: Actor) -> None:
    viewer = Browser(app, member(alice, "Vera", "viewer"))
    assert 'id="slash"' not in viewer.get(f"/sessions/{talk.id}").text
    assert "<h2>Commands</h2>" not in viewer.get(f"/search?q=/gre&at={talk.id}").text
    for text in ("!id", "/greet Bob"):
        assert send(viewer, talk, text).status_code == 403
    assert sessions.transcript(alice, talk.id) == []
