"""The page of MCP servers: what it shows, adds, tests, switches and removes, without a script and drawn live."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from app import db, record
from app.actor import Actor
from app.approvals import service as approvals
from app.approvals.service import Rule
from app.dialects.mount import Cabin
from app.mcp import service as mcp
from app.mcp.service import Wanted
from app.projects import service as projects
from app.projects.service import Place
from tests.conftest import Caller
from tests.mcp.conftest import COMMAND
from tests.visitor import Browser, data_of, frames, is_whole

LOCAL = {"kind": "local", "name": "peer", "command": "python3\r\npeer.py", "cwd": "", "timeout": "60"}


def definition(actor: Actor, place: Place, name: str) -> str:
    return next(one.definition for one in mcp.tools(actor, place) if one.id == name)


def test_a_project_without_servers_says_so(browser: Browser, place: Place) -> None:
    page = browser.get("/mcp-servers")
    assert is_whole(page)
    assert "No server." in page.text
    assert f'href="/mcp-servers?project={place.project.id}&amp;add=local"' in page.text


def test_a_local_one_is_added_shown_tested_and_removed(browser: Browser, alice: Actor, place: Place) -> None:
    base = f"/mcp-servers/{place.project.id}"
    form = browser.get(f"/mcp-servers?project={place.project.id}&add=local").text
    assert f'action="{base}"' in form
    answer = browser.post(base, {**LOCAL, "environment": "PEER_KEY=not-for-anyone\r\nOTHER=1"})
    assert (answer.status_code, answer.headers["Location"]) == (
        303,
        f"/mcp-servers?project={place.project.id}&server=peer",
    )
    page = browser.get(answer.headers["Location"])
    assert is_whole(page)
    for words in ("python3 peer.py", "peer_echo", "Says it back.", "PEER_KEY", "OTHER", "the root of the project"):
        assert words in page.text
    assert "not-for-anyone" not in page.text
    tested = browser.post(f"{base}/peer/test")
    assert is_whole(tested)
    assert re.search(r"Answered in \d+(\.\d)? m?s: 14 tools, 1 prompt, 1 resource\.", tested.text)
    assert browser.post(f"{base}/peer/disconnect").status_code == 303
    assert mcp.statuses(alice, place)["peer"].state == "disabled"
    assert browser.post(f"{base}/peer/connect").status_code == 303
    assert mcp.statuses(alice, place)["peer"].state == "connected"
    assert browser.post(f"{base}/peer/remove").status_code == 303
    assert mcp.statuses(alice, place) == {}
    assert browser.post(f"{base}/peer/remove").status_code == 404
    with db.read() as conn:
        audited = [row.action for row in conn.execute(record.audit_rows.select()) if row.action.startswith("mcp.")]
    assert audited == ["mcp.add", "mcp.test", "mcp.disable", "mcp.enable", "mcp.remove"]


def test_a_disconnected_one_is_tested_beside_and_stays_so(browser: Browser, alice: Actor, place: Place) -> None:
    mcp.add(alice, place, "peer", Wanted("local", COMMAND, enabled=False, timeout=60_000))
    told = browser.htmx(f"/mcp-servers/{place.project.id}/peer/test").text
    assert "<html" not in told
    assert "14 tools" in told
    assert mcp.statuses(alice, place)["peer"].state == "disabled"


def test_a_test_that_fails_says_why(browser: Browser, alice: Actor, place: Place) -> None:
    mcp.add(alice, place, "early", Wanted("local", (*COMMAND, "--early"), timeout=60_000))
    told = browser.htmx(f"/mcp-servers/{place.project.id}/early/test").text
    assert "Its last words: no such option" in told
    page = browser.get("/mcp-servers?server=early").text
    assert "Its last words: no such option" in page
    assert "Connect again" in page


@pytest.mark.parametrize(
    ("more", "field", "words"),
    [
        ({"name": "a b"}, "name", "1 to 40 letters"),
        ({"command": " \n"}, "command", "list of words"),
        ({"cwd": "../.."}, "cwd", "directory of the project"),
        ({"cwd": "/etc"}, "cwd", "directory of the project"),
        ({"environment": "A=b\nhidden words"}, "environment", "Line 2"),
        ({"timeout": "soon"}, "timeout", "at most 120 s"),
        ({"timeout": "nan"}, "timeout", "at most 120 s"),
        ({"kind": "remote", "url": "ftp://x"}, "", "not allowed"),
        ({"kind": "remote", "url": "https://x.example", "headers": "A b: hidden words"}, "headers", "name of a header"),
        ({"kind": "other"}, "", "local command or a remote address"),
    ],
)
def test_what_cannot_be_added_is_told_and_kept(
    browser: Browser, alice: Actor, place: Place, more: dict[str, str], field: str, words: str
) -> None:
    answer = browser.post(f"/mcp-servers/{place.project.id}", {**LOCAL, "name": "kept-name", **more})
    assert answer.status_code == 400
    assert words in answer.text
    assert 'role="alert"' in answer.text
    assert "hidden words" not in answer.text
    assert not field or f'id="{field}-error"' in answer.text
    assert "name" in more or 'value="kept-name"' in answer.text
    assert mcp.statuses(alice, place) == {}


def test_it_tells_which_tools_are_allowed_and_which_became_others(
    browser: Browser, alice: Actor, place: Place, peer: str
) -> None:
    pinned = definition(alice, place, "peer_echo")
    approvals.add_rule(alice, Rule("peer_echo", pinned, "allow", "project"), place.project.id)
    approvals.add_rule(alice, Rule("peer_image", "definition:of-before", "allow", "user"), alice.user)
    approvals.add_rule(alice, Rule("peer_c*", "*", "deny", "server"))
    page = browser.get("/mcp-servers?server=peer").text
    told = dict(
        re.findall(
            r"<code title=\"[^\"]*\">(peer_\w+)</code>.*?<span class=\"fig\"[^>]*>(.*?)</span></li>", page, re.DOTALL
        )
    )
    plain = {name: " ".join(re.sub(r"<[^>]*>", " ", words).split()) for name, words in told.items()}
    assert plain["peer_echo"] == "always allowed"
    assert plain["peer_image"] == "changed since it was allowed: asks"
    assert (plain["peer_crash"], plain["peer_change"]) == ("denied", "denied")
    assert plain["peer_fail"] == "asks"
    assert re.search(r"1 changed</span>, 1</td>", page)


def test_the_open_page_is_drawn_anew_when_one_changes(browser: Browser, alice: Actor, place: Place, peer: str) -> None:
    page = browser.get("/mcp-servers?server=peer").text
    stream = re.search(r'hx-sse:connect="([^"]+)"', page)
    assert stream is not None
    streamed = frames(browser.get(stream.group(1).replace("&amp;", "&"), buffered=False))
    mcp.disconnect(alice, place, peer)
    drawn = next(data_of(frame) for frame in streamed if 'hx-target="#mcp-rows"' in frame)
    assert "disconnected" in drawn
    assert 'hx-target="#mcp-about"' in drawn
    assert "/peer/connect" in drawn
    mcp.connect(alice, place, peer)
    assert any("peer_echo" in data_of(frame) for frame in streamed)
    streamed.close()


def test_who_may_only_look_sees_no_forms_and_strangers_see_nothing(
    app: Cabin, alice: Actor, bob: Actor, place: Place, peer: str
) -> None:
    his = Browser(app, bob)
    page = his.get("/mcp-servers?server=peer")
    assert "peer_echo" in page.text
    for act in ("/test", "/connect", "/disconnect", "/remove", "add=local"):
        assert act not in page.text
    base = f"/mcp-servers/{place.project.id}"
    for path in (base, *(f"{base}/peer/{act}" for act in ("test", "connect", "disconnect", "remove"))):
        assert his.post(path, LOCAL).status_code == 403, path
    assert his.post("/mcp-servers/prj_unknown/peer/test").status_code == 404


def test_one_runs_in_its_directory_of_the_project(alice: Actor, place: Place, workspace: Path, call: Caller) -> None:
    (workspace / "tools").mkdir()
    (workspace / "tools" / "peer.py").write_text((workspace / "peer.py").read_text())
    (workspace / "peer.py").unlink()
    config = {"type": "local", "command": list(COMMAND), "cwd": str(workspace / "tools"), "timeout": 60_000}
    assert call.post("/mcp", {"name": "peer", "config": config}).json == {"peer": {"status": "connected"}}
    shown = mcp.list_servers(alice, place)[0].server
    assert (shown.target, shown.cwd) == (list(COMMAND), "tools")
    config["cwd"] = "/etc"
    assert call.post("/mcp", {"name": "peer", "config": config}).status_code == 400


def test_the_projects_are_to_choose_from(browser: Browser, alice: Actor, place: Place, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    projects.add(alice, str(other))
    project = projects.resolve(alice, str(other)).project
    page = browser.get(f"/mcp-servers?project={project.id}").text
    assert f'<option value="{project.id}" selected>' in page
    assert browser.get("/mcp-servers?project=prj_unknown").status_code == 404
