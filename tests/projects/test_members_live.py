"""Who is taken out of a project has nothing open in it any more: streams, terminals, commands, agents, public pages."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from app import dispatch
from app.accounts import service as accounts
from app.actor import Actor
from app.approvals import service as approvals
from app.dialects.mount import Cabin
from app.errors import NotFound, Unavailable
from app.events import service as events
from app.processes import service as processes
from app.projects import service as projects
from app.projects.service import Place
from app.sessions import service as sessions
from app.terminals import service as terminals
from tests import repository
from tests.accounts.test_streams_end import Open, bearer
from tests.approvals import asking
from tests.conftest import Caller
from tests.patience import PATIENCE
from tests.running import Running
from tests.visitor import Browser, until

BOB = {"email": "bob@example.com", "password": "seventeen small boats", "displayName": "Bob"}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server with one project and Bob, who is a member of the team."""
    base = tmp_path_factory.mktemp("closed").resolve()
    with Running(base / "data", repository.make(base / "shop", files=3)) as started:
        yield started


def test_what_somebody_has_open_ends_as_they_are_taken_out(running: Running) -> None:
    _status, made = running.call("POST", "/api/v1/auth/register", BOB)
    bob = made["user"]["id"]
    assert running.call("POST", "/api/v1/roles/assign", {"userId": bob, "role": "member"})[0] == 200
    login = {"email": BOB["email"], "password": BOB["password"]}
    _status, given = running.call("POST", "/api/v1/auth/login", login, Authorization="")
    as_bob = bearer(given["accessToken"])
    session = running.call("POST", "/session", {"title": "Hers"})[1]
    access = f"/api/v1/projects/{session['projectID']}"
    assert running.call("PUT", f"{access}/members/{bob}", {})[0] == 200
    assert running.call("PATCH", f"{access}/access", {"visibility": "members"})[0] == 200
    held = Open(running, as_bob)
    assert session["id"] in json.dumps(running.call("GET", "/session", **as_bob)[1])
    assert running.call("DELETE", f"{access}/members/{bob}")[0] == 200
    held.closes()
    for path in (f"/session/{session['id']}", f"{access}/access"):
        assert running.call("GET", path, **as_bob)[0] == 404, path
    assert session["id"] not in json.dumps(running.call("GET", "/session", **as_bob)[1])
    assert running.call("GET", "/api/v1/pty", **as_bob)[1]["data"]["sessions"] == []

    # A stream that comes back hears of what is open to them, and of nothing that happened in the project.
    connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=PATIENCE)
    connection.request("GET", "/global/event", headers=as_bob)
    stream = connection.getresponse()
    assert stream.status == 200
    assert running.call("POST", "/session", {"title": "Quarry"})[0] == 200
    running.call("PUT", f"{access}/members/{bob}", {})
    said = b"".join(iter(stream.fp.readline, b""))  # to its end, for now they see more
    connection.close()
    assert b"Quarry" not in said
    assert session["projectID"].encode() not in said


@pytest.fixture
def place(app: Cabin, alice: Actor, bob: Actor, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A project that only Bob and its owner see."""
    root = tmp_path_factory.mktemp("vault").resolve()
    project = projects.add(alice, str(root))
    projects.put_member(alice, project.id, bob.user)
    projects.set_visibility(alice, project.id, "members")
    return Place(project, root, root)


@pytest.fixture
def nobody_works(monkeypatch: pytest.MonkeyPatch) -> None:
    """No engine takes what is queued; what stops runs does."""
    wake = dispatch.wake
    stops = "sessions.stop"
    monkeypatch.setattr(dispatch, "wake", lambda name, *given: wake(name, *given) if name.startswith(stops) else None)


def test_commands_and_terminals_in_it_end_and_no_others(alice: Actor, bob: Actor, place: Place) -> None:
    elsewhere = projects.resolve(bob, None)
    inside = [processes.start(bob, place, ("cat",)), terminals.create(bob, place, command=("cat",)).live]
    outside = [processes.start(bob, elsewhere, ("cat",)), terminals.create(bob, elsewhere, command=("cat",)).live]
    projects.remove_member(alice, place.project.id, bob.user)
    until(lambda: all(one.ended for one in inside))
    assert [one.ended for one in outside] == [None, None]


@pytest.mark.usefixtures("nobody_works")
def test_agents_of_theirs_stop_there_and_go_on_elsewhere(alice: Actor, bob: Actor, place: Place) -> None:
    other = projects.resolve(alice, None).project
    holds = [asking.hold_of(bob, one.path, one.id) for one in (place.project, other)]
    asks = [asking.runs(hold, "git push") for hold in holds]
    for hold in holds:
        sessions.wait(hold, lambda connection, hold=hold: approvals.is_waiting(connection, hold.run_id))
    projects.remove_member(alice, place.project.id, bob.user)
    until(lambda: approvals.get(alice, asks[0].id).state == "withdrawn")
    assert approvals.get(alice, asks[1].id).state == "waiting"
    assert sessions.get(alice, holds[0].session.id).state == "idle"


@pytest.mark.usefixtures("nobody_works")
def test_a_public_page_closes_as_the_project_does(app: Cabin, alice: Actor, bob: Actor, place: Place) -> None:
    projects.set_visibility(alice, place.project.id, "team")
    session = sessions.create(bob, place, title="Shown")
    slug = sessions.share(bob, session.id).share_slug or ""
    found = sessions.find_visitor(slug)
    assert found is not None
    following = sessions.follow_shared(found[0], None)
    assert following is not None
    projects.set_visibility(alice, place.project.id, "members")
    assert None not in following.facts(heartbeat=PATIENCE)  # it ends by itself
    assert app.test_client().get(f"/s/{slug}", headers={"Accept": "text/html"}).status_code == 404


def test_the_hub_gives_facts_in_it_to_its_people_alone(alice: Actor, bob: Actor, place: Place) -> None:
    outside = accounts.acting_for(bob.user, "system")
    projects.remove_member(alice, place.project.id, bob.user)
    late = accounts.acting_for(bob.user, "system")
    assert outside is not None
    assert late is not None
    with events.subscribe(alice) as hers, events.subscribe(late) as his:
        made = sessions.create(alice, place, title="Unseen")
        mine = sessions.create(late, projects.resolve(late, None), title="Seen")
        told: dict[str, list[str]] = {}
        for name, one in (("alice", hers), ("bob", his)):
            seen = told.setdefault(name, [])
            for fact in one.facts(heartbeat=PATIENCE):
                assert fact is not None
                seen.append(getattr(fact.event, "session_id", ""))
                if mine.id in seen:
                    break
    assert made.id in told["alice"]
    assert made.id not in told["bob"]


def test_nothing_begins_to_follow_by_rights_that_are_over(alice: Actor, bob: Actor, place: Place) -> None:
    """Whoever came before they were taken out, and only now gets to the log or to a terminal."""
    was = accounts.acting_for(bob.user, "agent")
    terminal = terminals.create(alice, place, command=("cat",))
    assert was is not None
    with events.subscribe(was):
        terminals.attach(was, terminal)
    projects.remove_member(alice, place.project.id, bob.user)
    with pytest.raises(Unavailable):
        events.subscribe(was)
    with pytest.raises(NotFound):
        terminals.attach(was, terminal)


def test_the_panel_works_without_scripts(app: Cabin, alice: Actor, bob: Actor, place: Place) -> None:
    browser, path = Browser(app, alice), f"/projects/{place.project.id}"
    page = browser.get(f"/projects?project={place.project.id}").text
    assert "Only these people" in page
    assert f"member-{bob.user}" in page
    key = "others:approvals:answer"
    assert browser.post(f"{path}/members", {"person": bob.user, "key": key}).status_code == 303
    assert "answer what agents ask" in browser.get(f"/projects?project={place.project.id}").text.split("checkbox")[0]
    answer = browser.post(f"{path}/members", {"person": bob.user, "key": "others:settings:write"})
    assert (answer.status_code, "A key that can be lent" in answer.text) == (400, True)
    assert browser.post(f"{path}/members/{bob.user}/remove").status_code == 303
    assert f"member-{bob.user}" not in browser.get(f"/projects?project={place.project.id}").text
    assert browser.post(f"{path}/visibility", {"visibility": "everybody"}).status_code == 400
    assert browser.post(f"{path}/visibility", {"visibility": "team"}).status_code == 303
    assert projects.access_of(alice, place.project.id).visibility == "team"


def test_ones_account_says_who_answers_and_what_one_was_lent(
    app: Cabin, alice: Actor, bob: Actor, place: Place
) -> None:
    projects.put_member(alice, place.project.id, bob.user, ["others:sessions:run"])
    browser = Browser(app, bob)
    assert browser.post("/account/approvers", {"person": alice.user}).status_code == 303
    page = browser.get("/account").text
    assert f"/account/approvers/{alice.user}/remove" in page
    assert "prompt and stop sessions" in page
    assert place.project.name in page
    assert browser.post("/account/approvers", {"person": bob.user}).status_code == 400
    assert "You may answer what agents ask" in Browser(app, alice).get("/account").text
    why = Browser(app, alice).get(f"/members?person={bob.user}&key=sessions:run").text
    assert "was lent" in why
    assert place.project.name in why.split('id="reason"')[1]
    assert browser.post(f"/account/approvers/{alice.user}/remove").status_code == 303
    assert f"/account/approvers/{alice.user}/remove" not in browser.get("/account").text


def test_scripts_say_who_sees_a_project_in_json(app: Cabin, alice: Actor, bob: Actor, place: Place) -> None:
    call, path = Caller(app, alice), f"/rootcx/api/v1/projects/{place.project.id}"
    found = call.get(f"{path}/access").json
    assert (found["visibility"], found["owner"]) == ("members", alice.user)
    assert [(one["userId"], one["name"], one["keys"]) for one in found["members"]] == [(bob.user, "Bob", [])]
    key = "others:sessions:write"
    assert call("PUT", f"{path}/members/{bob.user}", {"keys": [key]}).json == {"message": "member set"}
    assert call.get(f"{path}/access").json["members"][0]["keys"] == [key]
    wrong = call("PUT", f"{path}/members/{bob.user}", {"keys": ["*"]})
    assert (wrong.status_code, list(wrong.json)) == (400, ["error"])
    assert call("PUT", f"{path}/members/usr_nobody", {}).status_code == 404
    assert call("PATCH", f"{path}/access", {"visibility": "nobody"}).status_code == 400
    assert call("PATCH", f"{path}/access", {}).json == {"error": "visibility: Field required"}
    assert call("DELETE", f"{path}/members/{bob.user}").status_code == 200
    gone = Caller(app, bob).get(f"{path}/access")
    unknown = Caller(app, bob).get(f"{path[:-6]}zzzzzz/access")
    assert (gone.status_code, unknown.status_code) == (404, 404)
    his = Caller(app, bob)
    assert his("PUT", f"/rootcx/api/v1/approvers/{alice.user}").json == {"message": "approver added"}
    assert [one["userId"] for one in his.get("/rootcx/api/v1/approvers").json["mine"]] == [alice.user]
    assert [one["owner"] for one in call.get("/rootcx/api/v1/approvers").json["lent"]] == [bob.user]
    assert his("DELETE", f"/rootcx/api/v1/approvers/{alice.user}").status_code == 200
    assert his("DELETE", f"/rootcx/api/v1/approvers/{alice.user}").status_code == 404


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/sessions",
        "/projects",
        "/inbox",
        "/browse",
        "/terminals",
        "/checkpoints",
        "/members",
        "/account",
        "/search?q=x",
    ],
)
def test_a_page_is_there_for_who_sees_no_project_at_all(app: Cabin, alice: Actor, bob: Actor, path: str) -> None:
    for one in projects.list_all(alice):
        projects.set_visibility(alice, one.id, "members")
    assert projects.list_all(accounts.acting_for(bob.user, "system") or bob) == []
    answer = Browser(app, bob).get(path)
    assert answer.status_code == 200, answer.text[:3000]


def test_a_directory_of_the_project_named_to_a_client_is_like_any_other(
    app: Cabin, alice: Actor, bob: Actor, place: Place, tmp_path: Path
) -> None:
    projects.remove_member(alice, place.project.id, bob.user)
    his = Caller(app, bob)
    for path in ("/opencode/session", "/opencode/event", "/opencode/file", "/opencode/find"):
        closed, never = (
            his.get(path, query_string={"path": ".", "pattern": "x", "directory": str(named)})
            for named in (place.directory, tmp_path)
        )
        assert closed.status_code == never.status_code == 403, path
        assert closed.text.replace(str(place.directory), "X") == never.text.replace(str(tmp_path), "X")
