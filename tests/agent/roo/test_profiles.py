"""Profiles: made on their page, switched between over RooCode's External API, and what a task begins with."""

from __future__ import annotations

from typing import Any

import pytest

from app.actor import Actor
from app.agent import chosen, profiles
from app.dialects.mount import Cabin
from app.errors import Conflict, Denied
from app.projects import service as projects
from tests.conftest import Caller, member
from tests.model_server import ModelServer
from tests.visitor import Browser

WAIT = {"wait_for_response": True}


def make(browser: Browser, name: str, model: str, id: str = "") -> Any:
    return browser.post("/settings/profiles", {"name": name, "model": model, "id": id})


def names(call: Caller) -> list[str]:
    return [one["name"] for one in call.get("/api/profiles").json]


def test_the_usual_model_is_a_profile_that_is_always_there(call: Caller) -> None:
    usual = {"name": "default", "id": "default", "apiProvider": "openai", "model": "scripted"}
    assert call.get("/api/profiles").json == [usual]
    assert call.get("/api/profiles/current").json == usual


def test_a_profile_is_made_on_the_page_and_switched_to(call: Caller, browser: Browser, model: ModelServer) -> None:
    assert make(browser, 'Bob\'s  "fast" one', "openai/quick").status_code == 303
    assert names(call) == ["default", 'Bob\'s "fast" one']
    switched = call.post("/api/profiles/switch", {"name": 'Bob\'s "fast" one'})
    assert switched.json == {"message": "Switched to profile 'Bob's \"fast\" one'"}
    assert call.get("/api/profiles/current").json["model"] == "quick"
    call.post("/api/tasks", {"message": "[[say Hi]]", **WAIT})
    assert model.requests[-1]["model"] == "quick"
    page = browser.get("/settings/profiles").text
    assert "Bob&#39;s &#34;fast&#34; one" in page


def test_a_task_names_its_profile_and_keeps_it(call: Caller, browser: Browser, model: ModelServer) -> None:
    make(browser, "quick", "openai/quick")
    task = call.post("/api/tasks", {"message": "[[say Hi]]", "profile": "quick", **WAIT}).json["id"]
    assert call.get("/api/profiles/current").json["name"] == "quick"
    call.post("/api/profiles/switch", {"name": "default"})
    call.post(f"/api/messages/{task}", {"message": "[[say Again]]", **WAIT})
    assert model.requests[-1]["model"] == "quick"


def test_a_mode_brings_its_profile_along(call: Caller, browser: Browser) -> None:
    make(browser, "quick", "openai/quick")
    call.post("/api/profiles/switch", {"name": "quick"})
    call.post("/api/modes/switch", {"mode": "ask"})
    assert call.get("/api/profiles/current").json["name"] == "quick"
    call.post("/api/profiles/switch", {"name": "default"})
    call.post("/api/modes/switch", {"mode": "code"})
    assert call.get("/api/profiles/current").json["name"] == "quick"
    call.post("/api/modes/switch", {"mode": "ask"})
    assert call.get("/api/profiles/current").json["name"] == "default"


def test_the_current_one_is_chosen_on_the_page_too(call: Caller, browser: Browser) -> None:
    made = make(browser, "quick", "openai/quick").headers["Location"].partition("profile=")[2]
    assert browser.post("/settings/profiles/use", {"profile": made}).status_code == 303
    assert call.get("/api/profiles/current").json["name"] == "quick"
    assert f'<option value="{made}" selected>' in browser.get("/settings/profiles").text
    assert browser.post("/settings/profiles/use", {"profile": "prf_none"}).status_code == 404


def test_a_task_may_name_both_and_its_profile_goes_first(call: Caller, browser: Browser, model: ModelServer) -> None:
    make(browser, "quick", "openai/quick")
    call.post("/api/modes/switch", {"mode": "ask"})
    call.post("/api/modes/switch", {"mode": "code"})
    call.post("/api/profiles/switch", {"name": "quick"})
    call.post("/api/tasks", {"message": "[[say Hi]]", "mode": "ask", **WAIT})
    assert model.requests[-1]["model"] == "scripted"
    call.post("/api/tasks", {"message": "[[say Hi]]", "mode": "ask", "profile": "quick", **WAIT})
    assert model.requests[-1]["model"] == "quick"
    assert call.get("/api/profiles/current").json["name"] == "quick"
    call.post("/api/modes/switch", {"mode": "code"})
    call.post("/api/modes/switch", {"mode": "ask"})
    assert call.get("/api/profiles/current").json["name"] == "quick"


def test_an_agent_makes_none(app: Cabin, alice: Actor) -> None:
    agent = Actor(id="agent:x", kind="agent", user=alice.user, name="Agent", grants=("sessions:*", "settings:read"))
    place = projects.resolve(alice, None)
    with pytest.raises(Denied):
        profiles.save(agent, place, "mine", "openai", "quick")
    with pytest.raises(Denied):
        chosen.choose(agent, place, instructions="Do as I say.")


def test_one_that_is_put_under_its_id_takes_no_name_that_is_taken(app: Cabin, alice: Actor) -> None:
    for name in ("first", "second"):
        profiles.put(alice, profiles.Profile(f"prf_{name}", alice.user, name, "openai", "quick"))
    with pytest.raises(Conflict):
        profiles.put(alice, profiles.Profile("prf_second", alice.user, "first", "openai", "quick"))
    assert [one.name for one in profiles.own(alice)] == ["first", "second"]


def test_who_may_not_prompt_has_no_model_asked(app: Cabin, alice: Actor) -> None:
    writer = Actor(id="user:w", kind="user", user=alice.user, name="W", grants=("sessions:write", "settings:read"))
    place = projects.resolve(alice, None)
    with pytest.raises(Denied, match="sessions:run"):
        profiles.test(writer, place, profiles.DEFAULT)


def test_profiles_are_their_person_s_alone(app: Cabin, call: Caller, browser: Browser, alice: Actor) -> None:
    make(browser, "mine", "openai/quick")
    bob = Caller(app, member(alice, "Bob"))
    assert names(bob) == ["default"]
    assert bob.post("/api/profiles/switch", {"name": "mine"}).status_code == 404


def test_a_profile_is_changed_and_deleted(call: Caller, browser: Browser) -> None:
    made = make(browser, "quick", "openai/quick").headers["Location"].partition("profile=")[2]
    call.post("/api/profiles/switch", {"name": "quick"})
    make(browser, "quicker", "openai/quicker", made)
    assert call.get("/api/profiles/current").json["name"] == "quicker"
    assert browser.post(f"/settings/profiles/{made}/remove").status_code == 303
    assert call.get("/api/profiles/current").json["name"] == "default"
    assert browser.post(f"/settings/profiles/{made}/remove").status_code == 404


@pytest.mark.parametrize(
    ("name", "named", "status", "words"),
    [
        ("", "openai/quick", 400, "1 to 100 characters"),
        ("x", "openai", 400, "Name a model"),
        ("x", "nobody/quick", 400, "no provider"),
        ("default", "openai/quick", 409, "already"),
    ],
)
def test_a_profile_that_cannot_be_is_told_on_the_page(
    call: Caller, browser: Browser, name: str, named: str, status: int, words: str
) -> None:
    answer = make(browser, name, named)
    assert (answer.status_code, words in answer.text) == (status, True)
    assert f'value="{named}"' in answer.text
    assert names(call) == ["default"]


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({}, 400, "Profile name is required"),
        ({"name": 5}, 400, "Profile name is required"),
        ({"name": ""}, 400, "Profile name is required"),
        ({"name": "gone"}, 404, "Profile 'gone' not found"),
    ],
)
def test_a_switch_to_nothing_is_told(call: Caller, body: dict[str, Any], status: int, words: str) -> None:
    answer = call.post("/api/profiles/switch", body)
    assert (answer.status_code, answer.json) == (status, {"error": words})
    if status == 404:
        task = call.post("/api/tasks", {"message": "x", "profile": body["name"]})
        assert (task.status_code, task.json) == (404, {"error": words})


def test_a_profile_is_tested_on_its_page(app: Cabin, browser: Browser, alice: Actor, model: ModelServer) -> None:
    made = make(browser, "quick", "openai/quick").headers["Location"].rpartition("=")[2]
    page = browser.post(f"/settings/profiles/{made}/test")
    assert page.status_code == 200
    assert "to the first piece of its answer" in page.text
    assert model.requests[-1]["model"] == "quick"
    bob = Browser(app, member(alice, "Bob"))
    assert bob.post(f"/settings/profiles/{made}/test").status_code == 404
    assert bob.post("/settings/profiles/default/test").status_code == 200
    vera = Browser(app, member(alice, "Vera", "viewer"))
    assert vera.post("/settings/profiles/default/test").status_code == 403
