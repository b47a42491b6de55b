"""Servers of tools: added by those who may, started in the sandbox, called, and ended; and what misbehaves."""

from __future__ import annotations

import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from app import config, db, redact
from app.accounts import service as accounts
from app.actor import Actor
from app.errors import Conflict, Denied, Invalid, NotFound, Unavailable
from app.mcp import service as mcp
from app.mcp.models import server as table
from app.mcp.service import Answer, RemoteTool, Wanted
from app.mcp.words import words_of
from app.processes import sandbox
from app.processes import service as processes
from app.processes.sandbox import SandboxState
from app.projects import service as projects
from app.projects.service import Place
from tests.mcp.conftest import COMMAND


def tool(actor: Actor, place: Place, name: str) -> RemoteTool:
    return next(one for one in mcp.tools(actor, place) if one.id == name)


def call(actor: Actor, place: Place, name: str, **given: Any) -> Answer:
    answer = mcp.call(actor, place, tool(actor, place, name), given, lambda *_said: None, threading.Event())
    assert answer is not None
    return answer


def running(workspace: Path) -> list[psutil.Process]:
    return [one for one in psutil.Process().children(recursive=True) if "peer.py" in words(one)]


def words(process: psutil.Process) -> list[str]:
    """Its command line; none of one that has ended, whoever has yet to take note of it."""
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:
        return []


def test_its_tools_are_listed_and_called(alice: Actor, place: Place, peer: str) -> None:
    assert mcp.statuses(alice, place)[peer].state == "connected"
    assert "peer_echo" in {one.id for one in mcp.tools(alice, place)}
    assert call(alice, place, "peer_echo", text="hello") == Answer("hello")


def test_an_image_is_an_attachment_and_a_failure_is_told(alice: Actor, place: Place, peer: str) -> None:
    image = call(alice, place, "peer_image")
    assert image.attachments[0]["mime"] == "image/png"
    assert image.attachments[0]["url"].startswith("data:image/png;base64,")
    assert call(alice, place, "peer_fail") == Answer("it failed", is_error=True)


def test_a_result_that_cannot_be_spelled_out_is_told_as_one(alice: Actor, place: Place, peer: str) -> None:
    assert "can't be shown" in call(alice, place, "peer_vast").text


def test_no_pattern_of_a_server_is_run_here(alice: Actor, place: Place, peer: str) -> None:
    assert call(alice, place, "peer_patient") == Answer("held against nothing")


def test_progress_is_told_on_the_callers_thread(alice: Actor, place: Place, peer: str) -> None:
    told: list[Any] = []
    here = threading.get_ident()
    mcp.call(
        alice, place, tool(alice, place, "peer_progress"), {},
        lambda *said: told.append((threading.get_ident(), *said)), threading.Event(),
    )  # fmt: skip
    assert told == [(here, 1.0, 2.0, None)]


def test_who_tells_without_end_is_heard_now_and_then(alice: Actor, place: Place, peer: str) -> None:
    told: list[float] = []
    answer = mcp.call(
        alice, place, tool(alice, place, "peer_prattle"), {}, lambda done, *_more: told.append(done), threading.Event()
    )
    assert answer == Answer("told")
    assert told == sorted(told)
    assert told[-1] > 4_000
    assert len(told) < 1_000


def test_a_local_server_gets_its_own_environment_and_none_of_ours(alice: Actor, place: Place, peer: str) -> None:
    environ = call(alice, place, "peer_environ").text
    assert "PEER_KEY=not-for-anyone" in environ
    assert "OPENAI_API_KEY" not in environ
    with db.read() as conn:
        assert "not-for-anyone" not in str(conn.execute(table.select()).all())


def test_no_piece_of_a_secret_is_left_where_a_line_is_cut(alice: Actor, place: Place) -> None:
    wanted = Wanted("local", (*COMMAND, "--mutters"), {"PEER_KEY": "not-for-anyone"}, timeout=60_000)
    log = mcp.add(alice, place, "mutters", wanted).log
    assert any(line.startswith("(no message: xxx") for line in log)
    assert not [line for line in log if "not-" in line or "anyone" in line]


def test_nor_where_an_error_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redact, "_live", redact.Redactor({"house": "word-of-the-house"}))
    assert "word-of" not in words_of(ValueError("x" * 990 + "word-of-the-house and more"))


def test_a_schema_of_70_kib_is_left_out(alice: Actor, place: Place, peer: str) -> None:
    assert "peer_huge" not in {one.id for one in mcp.tools(alice, place)}
    assert any("huge is left out" in line for line in mcp.statuses(alice, place)[peer].log)


def test_a_server_whose_schemas_are_none_fails(alice: Actor, place: Place) -> None:
    status = mcp.add(alice, place, "liar", Wanted("local", (*COMMAND, "--liar"), timeout=60_000))
    assert status.state == "failed"
    assert "none of the protocol" in status.error
    assert mcp.tools(alice, place) == ()


def test_a_tool_that_changes_is_not_called_as_it_was(alice: Actor, place: Place, peer: str) -> None:
    before = tool(alice, place, "peer_echo")
    call(alice, place, "peer_change")
    # The server answers in order: once this has come back, so has the new list.
    call(alice, place, "peer_image")
    with pytest.raises(Conflict, match="in another way"):
        mcp.call(alice, place, before, {"text": "x"}, lambda *_said: None, threading.Event())
    assert "sends it away" in tool(alice, place, "peer_echo").description


def test_one_that_changes_without_end_is_listed_now_and_then(alice: Actor, place: Place, peer: str) -> None:
    call(alice, place, "peer_restless")
    call(alice, place, "peer_image")  # it comes behind all lists that were asked for
    assert int(call(alice, place, "peer_lists").text) < 20


def test_a_crash_fails_the_call_and_the_next_one_finds_it_started_again(alice: Actor, place: Place, peer: str) -> None:
    echo = tool(alice, place, "peer_echo")
    with pytest.raises(Unavailable, match="gave no result"):
        call(alice, place, "peer_crash")
    assert mcp.connect(alice, place, peer).state == "connected"
    assert mcp.call(alice, place, echo, {"text": "again"}, lambda *_said: None, threading.Event()) == Answer("again")


def test_a_call_that_hangs_is_cancelled_and_the_server_is_told(
    alice: Actor, place: Place, peer: str, workspace: Path
) -> None:
    cancel = threading.Event()
    hang = tool(alice, place, "peer_hang")
    given: list[Any] = []
    # It tells that it has begun before it hangs.
    tell = lambda *_said: cancel.set()  # noqa: E731
    given.append(mcp.call(alice, place, hang, {}, tell, cancel))
    assert given == [None]
    assert call(alice, place, "peer_echo", text="still here").text == "still here"
    assert (workspace / "cancelled.txt").read_text() == "yes"


def test_a_server_that_says_nothing_fails_in_its_time(alice: Actor, place: Place) -> None:
    status = mcp.add(alice, place, "silent", Wanted("local", (*COMMAND, "--silent"), timeout=500))
    assert (status.state, status.error) == ("failed", "It did not answer within 0.5 s.")


def test_one_that_ends_at_once_is_told_with_its_last_words(alice: Actor, place: Place) -> None:
    status = mcp.add(alice, place, "early", Wanted("local", (*COMMAND, "--early"), timeout=60_000))
    assert status.state == "failed"
    assert "no such option" in status.log


def test_a_command_that_is_not_there_fails(alice: Actor, place: Place) -> None:
    assert mcp.add(alice, place, "gone", Wanted("local", ("no-such-program",), timeout=60_000)).state == "failed"


def test_in_a_team_without_a_sandbox_no_command_is_begun(
    alice: Actor, place: Place, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "sandbox_state", lambda: SandboxState(False, "it is missing.", ""))
    accounts.create_user(alice, "Bob", None, "member")
    status = mcp.add(alice, place, "peer", Wanted("local", COMMAND, timeout=60_000))
    assert status.state == "failed"
    assert "Without a sandbox a team's server runs no commands: it is missing." in status.error
    assert not running(workspace)


def test_disconnecting_and_removing_end_the_command(alice: Actor, place: Place, peer: str, workspace: Path) -> None:
    assert running(workspace)
    mcp.disconnect(alice, place, peer)
    assert not running(workspace)
    assert mcp.statuses(alice, place)[peer].state == "disabled"
    assert mcp.tools(alice, place) == ()
    assert mcp.connect(alice, place, peer).state == "connected"
    mcp.remove(alice, place, peer)
    assert not running(workspace)
    assert mcp.statuses(alice, place) == {}
    with pytest.raises(NotFound):
        mcp.remove(alice, place, peer)


def test_stopping_ends_all(alice: Actor, place: Place, peer: str, workspace: Path) -> None:
    mcp.stop()
    assert not running(workspace)
    assert "mcp" not in {thread.name for thread in threading.enumerate()}


def test_only_who_may_names_a_command(alice: Actor, bob: Actor, charlie: Actor, place: Place, peer: str) -> None:
    wanted = Wanted("local", ("sh", "-c", "id"))
    agent = replace(alice, kind="agent")
    for actor in (bob, agent):
        with pytest.raises(Denied):
            mcp.add(actor, place, "mine", wanted)
        with pytest.raises(Denied):
            mcp.connect(actor, place, peer)
    assert mcp.statuses(bob, place)[peer].state == "connected"
    with pytest.raises(NotFound):
        mcp.statuses(charlie, place)


@pytest.mark.parametrize("url", ["ftp://example.com", "https://a@b.example", "no url"])
def test_a_url_of_another_form_is_not_taken(alice: Actor, place: Place, url: str) -> None:
    with pytest.raises(Invalid, match="not allowed"):
        mcp.add(alice, place, "inner", Wanted("remote", (url,), timeout=60_000))


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/mcp", "https://[::1]/", "https://169.254.169.254/"])
def test_a_url_that_leads_inside_is_never_called(alice: Actor, place: Place, url: str) -> None:
    status = mcp.add(alice, place, "inner", Wanted("remote", (url,), timeout=60_000))
    assert status.state == "failed"
    assert "not allowed" in status.error


def test_a_real_server_tells_the_time(alice: Actor, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    # It is installed beside us, where the sandbox shows nothing.
    off = "", sandbox.SandboxState(False, "it is off for this test.", "")
    monkeypatch.setattr(sandbox, "_probe", lambda: off)
    command = (sys.executable, "-m", "mcp_server_time", "--local-timezone", "Europe/Berlin")
    status = mcp.add(alice, place, "time", Wanted("local", command, timeout=60_000))
    assert status.state == "connected", status
    assert {one.id for one in mcp.tools(alice, place)} == {"time_get_current_time", "time_convert_time"}
    answer = call(alice, place, "time_convert_time", source_timezone="UTC", time="12:00", target_timezone="Asia/Tokyo")
    assert "T21:00:00+09:00" in answer.text


def test_servers_are_kept_in_either_database(either_database: db.Database, alice: Actor, tmp_path: Path) -> None:
    config.use(replace(config.current(), data_dir=tmp_path / "data"))
    root = tmp_path / "kept"
    root.mkdir()
    projects.add(alice, str(root))
    place = projects.resolve(alice, str(root))
    wanted = Wanted("local", ("x",), {"KEY": "value-of-key"}, enabled=False)
    assert mcp.add(alice, place, "kept", wanted).state == "disabled"
    assert mcp.add(alice, place, "kept", wanted).state == "disabled"
    assert list(mcp.statuses(alice, place)) == ["kept"]
    mcp.remove(alice, place, "kept")
    assert mcp.statuses(alice, place) == {}


def test_the_library_is_not_loaded_before_a_server_is_wanted() -> None:
    code = "import app, sys; app.assemble(); sys.exit(any(n in sys.modules for n in ('mcp', 'mcp_types', 'anyio')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
