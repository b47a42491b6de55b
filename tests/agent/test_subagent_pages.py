"""A subagent in its parent's page, drawn whole and live: its words, its state, and what it asks."""

from __future__ import annotations

from typing import Any

import pytest

from app.actor import Actor
from app.dialects.mount import Cabin
from app.sessions import service as sessions
from tests.agent.talk import Talk
from tests.agent.test_engine import settings, store
from tests.agent.test_subagents import ByPrompt, asked, children, task, until_waiting
from tests.model_server import Call, Gate, ModelServer, Say
from tests.patience import PATIENCE
from tests.sessions.test_pages import stream_of
from tests.visitor import Browser, data_of, frames, is_whole

__all__ = ["settings", "store"]


@pytest.fixture
def talk(app: Cabin, alice: Actor) -> Talk:
    """A session that asks before it changes anything."""
    return Talk(alice)


def streamed(browser: Browser, path: str, word: str) -> str:
    """What the stream sends up to a word."""
    found = []
    each: Any = frames(browser.get(path, buffered=False))
    for frame in each:
        found.append(data_of(frame))
        if word in frame:
            break
    each.close()
    return "\n".join(found)


def test_the_page_shows_what_a_subagent_says_and_how_it_stands(
    talk: Talk, browser: Browser, model_server: ModelServer
) -> None:
    gate = Gate()
    ByPrompt(
        model_server,
        go=[[task("child: look")], [Say("Told.")]],
        **{"child:": [[Say("It is <b>x</b> and **seen**."), gate], [Say("x")]]},
    )
    empty = stream_of(browser.get(f"/sessions/{talk.id}").text)
    talk.say("go on")
    assert gate.reached.wait(PATIENCE)
    until_waiting(talk)
    [child] = children(talk)
    live = streamed(browser, empty, 'hx-target="#sub-words-')
    assert f'hx-target="#sub-words-{child.id}" hx-swap="innerHTML"' in live
    assert f'hx-target="#sub-state-{child.id}" hx-swap="outerHTML"' in live
    assert "<b>x" not in live
    page = browser.get(f"/sessions/{talk.id}")
    assert is_whole(page)
    box = page.text.split(f'id="sub-state-{child.id}"')[1].split("</article>")[0]
    assert "Running" in box
    assert f'href="/sessions/{child.id}"' in box
    assert "<strong>seen</strong>" in box
    assert "<b>x" not in box
    gate.opened.set()
    talk.until_idle()
    done = browser.get(f"/sessions/{talk.id}").text
    assert "sub-words-" not in done
    assert "<strong>seen</strong>" in done


def test_an_ask_from_two_levels_below_is_answered_on_the_page_of_the_first(
    talk: Talk, browser: Browser, model_server: ModelServer
) -> None:
    ByPrompt(
        model_server,
        go=[[task("child: look")], [Say("Done.")]],
        **{
            "child:": [[task("grandchild: run")], [Say("Done too.")]],
            "grandchild:": [[Call("bash", {"command": "echo deep"})], [Say("Ran.")]],
        },
    )
    path = stream_of(browser.get(f"/sessions/{talk.id}").text)
    talk.say("go on")
    [ask] = asked(talk.actor)
    live = streamed(browser, path, f'id="ask-{ask.id}"')
    assert live.count('hx-target="#loose" hx-swap="upsert"') == 1
    page = browser.get(f"/sessions/{talk.id}").text
    loose = page.split('<div id="loose">')[1]
    assert f'id="ask-{ask.id}"' in loose
    assert "by “Look (@general subagent)”" in loose
    assert f'id="ask-{ask.id}"' not in page.split('<div id="loose">')[0]
    assert "Look (@general subagent)" in browser.get("/inbox").text
    answer = browser.htmx(f"/inbox/{ask.id}", {"reply": "once"})
    assert "You ran" in answer.text
    talk.until_idle()
    assert talk.tools()[0]["state"]["status"] == "completed"
    assert "ask-" not in browser.get(f"/sessions/{talk.id}").text.split('<div id="loose">')[1].split("</div>")[0]


def test_a_mention_on_the_page_names_the_subagent(talk: Talk, browser: Browser, model_server: ModelServer) -> None:
    browser.post(f"/sessions/{talk.id}/send", {"text": "Let @general look, not @nobody or a@general"})
    talk.until_idle()
    [prompt] = [message for message in sessions.transcript(talk.actor, talk.id) if message.role == "user"]
    assert [part.type for part in prompt.parts] == ["text", "agent", "text"]
    assert prompt.parts[1].data["name"] == "general"
    assert "Let @general look" in sessions.get(talk.actor, talk.id).title
    assert "task tool" not in sessions.get(talk.actor, talk.id).title


def test_a_subagents_own_page_keeps_its_mode(talk: Talk, browser: Browser, model_server: ModelServer) -> None:
    ByPrompt(model_server, go=[[task("child: look")], [Say("Told.")]], **{"child:": [[Say("Seen.")]]})
    talk.ask("go on")
    [child] = children(talk)
    assert '<option value="general" selected' in browser.get(f"/sessions/{child.id}").text
    answer = browser.post(f"/sessions/{child.id}/send", {"text": "More", "mode": "general", "preset": "ask"})
    assert answer.status_code == 303
    assert sessions.get(talk.actor, child.id).mode == "general"


def test_the_panel_tells_the_cost_of_subagents_apart(
    talk: Talk, browser: Browser, model_server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.agent.providers.catalog.cost", lambda *_: 0.25)
    ByPrompt(model_server, go=[[task("child: look")], [Say("Told.")]], **{"child:": [[Say("Seen.")]]})
    talk.ask("go on")
    panel = browser.get(f"/sessions/{talk.id}").text.split('id="session-panel"')[1]
    assert "<dt>Subagents</dt><dd>$0.25" in panel
    assert "$0.75 in all" in panel
