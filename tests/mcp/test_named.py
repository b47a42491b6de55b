"""Servers that files of Roo's name: a repository's start only as somebody said yes to them, and what else files say."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from app import db, record
from app.actor import Actor
from app.agent import auto_approve
from app.approvals import service as approvals
from app.dialects.mount import Cabin
from app.errors import Conflict, Denied, Invalid, NotFound
from app.mcp import service
from app.mcp import service as mcp
from app.mcp.events import ServerChanged
from app.mcp.models import server as table
from app.mcp.service import Status, Terms, Wanted, Written
from app.projects import service as projects
from app.projects.service import Place
from tests.agent.talk import Talk
from tests.conftest import Caller
from tests.mcp.conftest import COMMAND
from tests.mcp.test_servers import call as call_tool
from tests.mcp.test_servers import running
from tests.model_server import Call, ModelServer, Say
from tests.patience import PATIENCE
from tests.visitor import Browser, is_whole, until

ENTRY = {"command": COMMAND[0], "args": list(COMMAND[1:]), "env": {"PEER_KEY": "not-for-anyone"}, "timeout": 60}


def write(workspace: Path, servers: Any) -> None:
    """Write the repository's own file."""
    (workspace / ".roo").mkdir(exist_ok=True)
    text = servers if isinstance(servers, str) else json.dumps({"mcpServers": servers})
    (workspace / ".roo" / "mcp.json").write_text(text)


def named(actor: Actor, place: Place) -> Mapping[str, Any]:
    return {it.one.said: it for it in mcp.named(actor, place).servers}


def allow(actor: Actor, place: Place, name: str = "peer") -> Status:
    return mcp.allow_named(actor, place, name, named(actor, place)[name].one.mark)


def one(actor: Actor, place: Place, entry: Any, name: str = "a", **values: str) -> Written:
    [found] = mcp.read_written(actor, place, {name: entry}, values)
    return found


def test_nothing_of_a_repository_starts_by_itself(alice: Actor, place: Place, workspace: Path, call: Caller) -> None:
    write(workspace, {"peer": ENTRY})
    assert named(alice, place)["peer"].state == "asks"
    assert mcp.statuses(alice, place) == {}
    assert mcp.tools(alice, place) == ()
    assert call.get("/mcp").json == {}
    assert not running(workspace)
    with pytest.raises(NotFound):
        mcp.connect(alice, place, "peer")


def test_a_yes_is_to_exactly_what_was_shown(alice: Actor, place: Place, workspace: Path) -> None:
    write(workspace, {"peer": ENTRY})
    shown = named(alice, place)["peer"].one
    assert shown.reached == "python3 peer.py"
    write(workspace, {"peer": {**ENTRY, "args": ["peer.py", "--other"]}})
    with pytest.raises(Conflict):
        mcp.allow_named(alice, place, "peer", shown.mark)
    assert not running(workspace)
    assert allow(alice, place).state == "connected"
    assert running(workspace)
    assert named(alice, place)["peer"].state == "allowed"
    assert call_tool(alice, place, "peer_echo", text="hello").text == "hello"


@pytest.mark.parametrize("change", [{"args": ["peer.py", "--other"]}, {"env": {"PEER_KEY": "another one"}}, None])
def test_a_file_that_changes_is_asked_about_again(
    alice: Actor, place: Place, workspace: Path, call: Caller, change: dict[str, Any] | None
) -> None:
    write(workspace, {"peer": ENTRY})
    allow(alice, place)
    tool = mcp.tools(alice, place)[0]
    write(workspace, {"peer": {**ENTRY, **change}} if change else {})
    assert mcp.tools(alice, place) == ()
    assert not running(workspace)
    status = mcp.statuses(alice, place)["peer"]
    assert (status.state, "look at it again" in status.error) == ("needs_consent", True)
    assert mcp.connect(alice, place, "peer").state == "needs_consent"
    assert mcp.test(alice, place, "peer").status.state == "needs_consent"
    with pytest.raises(Exception, match="not connected"):
        mcp.call(alice, place, tool, {}, lambda *_said: None, None)  # type: ignore[arg-type]
    assert call.get("/mcp").json["peer"]["status"] == "failed"
    [roo] = call.get("/api/mcps").json
    assert (roo["status"], roo["connection"]) == ("inactive", "disconnected")
    assert not running(workspace)
    if change:
        assert named(alice, place)["peer"].state == "changed"
        assert allow(alice, place).state == "connected"
    write(workspace, {"peer": {**ENTRY, **(change or {})}})
    assert until(lambda: mcp.statuses(alice, place)["peer"].state == "connected")


def test_who_may_not_say_yes_cannot(app: Cabin, alice: Actor, bob: Actor, place: Place, workspace: Path) -> None:
    write(workspace, {"peer": ENTRY})
    agent = Actor(id="agent:x", kind="agent", user=alice.user, name="Agent", grants=("*",))
    mark = named(alice, place)["peer"].one.mark
    for actor in (bob, agent):
        with pytest.raises(Denied):
            mcp.allow_named(actor, place, "peer", mark)
    his = Browser(app, bob)
    page = his.get("/mcp-servers")
    assert "python3 peer.py" in page.text
    assert "/peer/allow" not in page.text
    assert his.post(f"/mcp-servers/{place.project.id}/peer/allow", {"mark": mark}).status_code == 403
    assert not running(workspace)


def test_the_page_shows_the_exact_command_and_no_value(
    browser: Browser, alice: Actor, place: Place, workspace: Path
) -> None:
    write(workspace, {"peer": ENTRY, "far": {"type": "sse", "url": "https://x.example"}, "asks it": {
        "command": "python3", "args": ["x y.py"], "env": {"T": "${env:PEER_TOKEN}"}, "disabled": True}})  # fmt: skip
    page = browser.get("/mcp-servers")
    assert is_whole(page)
    assert "comes with the repository" in page.text
    assert "not-for-anyone" not in page.text
    for words in ("python3 peer.py", "PEER_KEY", "type sse is not spoken", "python3 &#39;x y.py&#39;", "asks-it here"):
        assert words in page.text
    marks = dict(re.findall(r'/([\w-]+)/allow">.*?name="mark" value="(\w+)"', page.text, re.DOTALL))
    assert set(marks) == {"peer", "asks-it"}
    base = f"/mcp-servers/{place.project.id}"
    wrong = browser.post(f"{base}/peer/allow", {"mark": "0" * 64})
    assert (wrong.status_code, "says something else" in wrong.text) == (409, True)
    assert browser.post(f"{base}/asks-it/allow", {"mark": marks["asks-it"]}).status_code == 400
    assert browser.post(f"{base}/peer/allow", {"mark": marks["peer"]}).status_code == 303
    given = {"mark": marks["asks-it"], "value.PEER_TOKEN": "given-by-hand"}
    assert browser.post(f"{base}/asks-it/allow", given).status_code == 303
    assert mcp.statuses(alice, place)["peer"].state == "connected"
    write(workspace, {"peer": {**ENTRY, "args": ["other.py"]}})
    page = browser.get("/mcp-servers?server=peer")
    assert "Allow what it says now" in page.text
    assert "needs a yes" in page.text
    assert "given-by-hand" not in page.text
    with db.read() as conn:
        assert "given-by-hand" not in str(conn.execute(record.audit_rows.select()).all())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "Line 1, column"),
        ("[]", "no mcpServers"),
        ('{"mcpServers": 3}', "no mcpServers"),
        ("x" * 300_000, "larger"),
    ],
)
def test_a_file_that_cannot_be_read_is_told(
    browser: Browser, alice: Actor, place: Place, workspace: Path, text: str, words: str
) -> None:
    write(workspace, text)
    assert words in mcp.named(alice, place).fault
    assert browser.get("/mcp-servers").status_code == 200


def test_an_entry_that_is_too_deep_is_told(browser: Browser, alice: Actor, place: Place, workspace: Path) -> None:
    depth = 300
    deep = f'{{"command": "x", "more": {"[" * depth}{"]" * depth}}}'
    write(workspace, f'{{"mcpServers": {{"peer": {json.dumps(ENTRY)}, "deep": {deep}}}}}')
    assert named(alice, place)["deep"].one.why == "It is nested too deep."
    assert browser.get("/mcp-servers").status_code == 200
    assert allow(alice, place).state == "connected"
    assert mcp.tools(alice, place)


def test_a_link_leads_out_of_no_project(alice: Actor, place: Place, workspace: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere.json").write_text(json.dumps({"mcpServers": {"peer": ENTRY}}))
    (workspace / ".roo").mkdir()
    (workspace / ".roo" / "mcp.json").symlink_to(tmp_path / "elsewhere.json")
    found = mcp.named(alice, place)
    assert found.servers == ()
    assert found.fault


def test_one_takes_the_place_of_what_people_added_only_when_they_say_so(
    alice: Actor, place: Place, workspace: Path, peer: str
) -> None:
    before = mcp.list_servers(alice, place)[0].server.id
    write(workspace, {"peer": {**ENTRY, "args": ["peer.py", "--other"]}})
    assert named(alice, place)["peer"].is_taken
    assert mcp.list_servers(alice, place)[0].server.id == before
    allow(alice, place)
    assert [one.server.target[-1] for one in mcp.list_servers(alice, place)] == ["--other"]


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"command": "x", "url": "https://x.example"}, "a command and a url"),
        ({}, "neither a command nor a url"),
        ([], "valid dictionary"),
        ({"url": "https://x.example"}, "wants its type"),
        ({"type": "sse", "url": "https://x.example"}, "sse is not spoken"),
        ({"type": "http", "url": "https://x.example"}, "type: "),
        ({"type": "streamable-http", "command": "x"}, "of the type stdio"),
        ({"command": "x", "headers": {"a": "b"}}, "has no headers"),
        ({"type": "streamable-http", "url": "https://x.example", "env": {"a": "b"}}, "no args or env"),
        ({"type": "streamable-http", "url": "ftp://x.example"}, "not allowed"),
        ({"type": "stdio", "url": "https://x.example"}, "streamable-http"),
        ({"command": ["sh", "-c", "x"]}, "command: "),
        ({"command": ""}, "a program"),
        ({"command": "x", "timeout": 0}, "timeout: "),
        ({"command": "x", "timeout": 3601}, "timeout: "),
        ({"command": "x", "disabled": "no"}, "disabled: "),
        ({"command": "x", "alwaysAllow": "*"}, "alwaysAllow: "),
        ({"command": "x", "env": {"A": 1}}, "env.A: "),
        ({"command": "x", "env": {"A=B": "c"}}, "has no '='"),
        ({"command": "x", "cwd": "../.."}, "directory of the project"),
        ({"command": "x", "args": ["${env:HOME}"]}, "which are shown"),
        ({"command": "x", "env": {"A": "${env:HOME}"}}, "It wants HOME of the environment"),
    ],
)
def test_an_entry_that_cannot_be_says_why(alice: Actor, place: Place, entry: Any, words: str) -> None:
    found = one(alice, place, entry)
    assert found.wanted is None
    assert words in found.why


def test_an_entry_is_read_as_roo_means_it(alice: Actor, place: Place) -> None:
    entry = {
        "command": "node", "args": ["${workspaceFolder}/x.js", "${HOME}"], "env": {"A": "b${env:TOKEN}"}, "cwd": "tools",
        "disabled": True, "timeout": 300, "alwaysAllow": ["a", "*"], "disabledTools": ["b"], "watchPaths": ["x"],
    }  # fmt: skip
    found = one(alice, place, entry, "my server/1", TOKEN="given")
    target = ("node", f"{place.project.path}/x.js", "${HOME}")
    terms = Terms(("a", "*"), ("b",))
    assert found.wanted == Wanted("local", target, {"A": "bgiven"}, False, 120_000, "tools", terms=terms)
    assert (found.name, found.said) == ("my-server-1", "my server/1")
    assert len(found.notes) == 3
    assert one(alice, place, {"command": "x"}).wanted == Wanted("local", ("x",), timeout=60_000)
    remote = {"type": "streamable-http", "url": "https://x.example/mcp", "headers": {"A": "b"}}
    wanted = Wanted("remote", ("https://x.example/mcp",), {"A": "b"}, timeout=60_000)
    assert one(alice, place, remote).wanted == wanted


def test_two_of_one_name_are_told(alice: Actor, place: Place) -> None:
    first, second = mcp.read_written(alice, place, {"a b": {"command": "x"}, "a/b": {"command": "y"}})
    assert first.wanted is not None
    assert (second.wanted, "called a-b" in second.why) == (None, True)


def test_tools_that_a_file_leaves_out_are_not_offered_nor_called(alice: Actor, place: Place, peer: str) -> None:
    crash = next(tool for tool in mcp.tools(alice, place) if tool.name == "crash")
    given = Wanted("local", COMMAND, timeout=60_000, terms=Terms(without=("crash",)))
    mcp.add(alice, place, peer, given)
    offered = [tool.name for tool in mcp.tools(alice, place)]
    assert "echo" in offered
    assert "crash" not in offered
    server = mcp.list_servers(alice, place)[0].server.id
    with pytest.raises(NotFound):
        mcp.call(alice, place, type(crash)(server, "peer", "crash", "", {}), {}, lambda *_said: None, None)  # type: ignore[arg-type]


def test_a_tool_that_always_runs_does_so_as_it_was_first_offered(alice: Actor, place: Place, call: Caller) -> None:
    given = Wanted("local", COMMAND, timeout=60_000, terms=Terms(("echo", "image", "nobody")))
    mcp.add(alice, place, "peer", given)
    assert mcp.always_allowed(alice, place) == ("peer_echo", "peer_image")
    [shown] = call.get("/api/mcps").json
    assert {one["name"] for one in shown["tools"] if one["alwaysAllow"]} == {"echo", "image"}
    call_tool(alice, place, "peer_change")
    assert until(lambda: mcp.always_allowed(alice, place) == ("peer_image",))
    assert not mcp.put(alice, place, "peer", given)
    assert mcp.put(alice, place, "peer", Wanted("local", COMMAND, timeout=60_000, terms=Terms(("*",))))
    mcp.connect(alice, place, "peer")
    assert len(mcp.always_allowed(alice, place)) == len(mcp.tools(alice, place))
    assert approvals.said_of(alice, place.project, {"peer_echo": "x"})["peer_echo"].state == "asks"


def test_what_is_put_is_put_once_and_starts_when_it_is_used(alice: Actor, place: Place, workspace: Path) -> None:
    given = Wanted("local", COMMAND, {"PEER_KEY": "not-for-anyone"}, timeout=60_000)
    assert mcp.put(alice, place, "peer", given)
    assert not running(workspace)
    assert not mcp.put(alice, place, "peer", given)
    assert mcp.put(alice, place, "peer", Wanted("local", COMMAND, {"PEER_KEY": "changed"}, timeout=60_000))
    assert "peer_echo" in {tool.id for tool in mcp.tools(alice, place)}
    assert running(workspace)
    with pytest.raises(Invalid):
        mcp.put(alice, place, "a b", given)


def test_what_another_process_removes_ends_here(alice: Actor, place: Place, workspace: Path, peer: str) -> None:
    """As a command beside the server does it: the row goes, and the event tells."""
    [process] = [one for one in running(workspace) if one.name().startswith("python")]
    with db.transaction() as conn:
        conn.execute(table.delete())
        record.event(conn, ServerChanged(str(place.project.path), peer), place.project)
    process.wait(PATIENCE)


def test_those_of_a_project_that_is_taken_off_the_list_end(
    alice: Actor, place: Place, workspace: Path, peer: str
) -> None:
    [process] = [one for one in running(workspace) if one.name().startswith("python")]
    projects.remove(alice, place.project.id)
    process.wait(PATIENCE)
    projects.add(alice, str(workspace))
    assert call_tool(alice, projects.resolve(alice, str(workspace)), "peer_echo", text="again").text == "again"


def test_one_that_is_closed_by_several_at_once_ends_whole(
    alice: Actor, place: Place, workspace: Path, peer: str
) -> None:
    server = mcp.list_servers(alice, place)[0].server.id
    for _ in range(3):
        service._links.end(server)
    service._links.close(server)
    assert not running(workspace)


def test_a_turn_calls_it_unasked_only_while_the_switch_is_on(
    app: Cabin, alice: Actor, place: Place, model_server: ModelServer
) -> None:
    mcp.add(alice, place, "peer", Wanted("local", COMMAND, timeout=60_000, terms=Terms(("echo",))))
    talk = Talk(alice)
    echo = [Call("peer_echo", {"text": "a"})]
    model_server.script = [echo, [Say("Done.")], [*echo, Call("peer_image", {})], [Say("Done.")]]
    talk.say("go")
    ask = talk.until_asked()
    assert ask["tool"] == "peer_echo"
    approvals.answer(alice, ask["id"], "once")
    talk.until_idle()
    auto_approve.change(alice, place, {"auto_approval_enabled": True, "always_allow_mcp": True})
    talk.say("again")
    ask = talk.until_asked()
    assert ask["tool"] == "peer_image"
    approvals.answer(alice, ask["id"], "once")
    talk.until_idle()
