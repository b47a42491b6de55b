"""The command that takes over Roo's settings, beside a server or alone, and the file of the first start."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.agent.providers.known import KNOWN
from tests.agent.importing.exports import SERVERS, export, key, raw
from tests.running import ROOT, Running


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory for a server, its project and files; none of the machine's own providers."""
    for known in KNOWN.values():
        for name in (*known.keys, known.base_url_key):
            monkeypatch.delenv(name, raising=False)
    (tmp_path / "project" / ".git").mkdir(parents=True)
    (tmp_path / "export.json").write_bytes(raw(export(mcpServers=SERVERS)))
    return tmp_path


@pytest.fixture
def running(home: Path) -> Iterator[Running]:
    with Running(home / "data", home / "project") as started:
        yield started


def run(server: Running, *words: str, **more: str) -> tuple[int, str]:
    """The exit code of a command line of this server's, and all that it printed."""
    command = [sys.executable, "-m", "app", "import", "roo", *words]
    done = subprocess.run(
        command, cwd=ROOT, env={**server.environ, **more}, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


def names(server: Running) -> set[str]:
    return {one["name"] for one in server.call("GET", "/api/profiles")[1]}


def test_beside_a_running_server_it_shows_takes_over_and_has_nothing_left_to_do(running: Running, home: Path) -> None:
    file = str(home / "export.json")
    code, told = run(running, file, "--dry-run")
    assert (code, told.splitlines()[-1]) == (0, "Nothing was written. 20 to take over, 14 left out.")
    assert names(running) == {"default"}
    code, told = run(running, file, "--skip", "profile:Router")
    assert (code, told.splitlines()[-1]) == (0, "19 taken over, 14 left out.")
    assert "NEVERSHOWN" not in told
    assert names(running) == {"default", "default (Roo)", "GPT", "Gemini", "House models", "Local", "Studio"}
    assert running.call("GET", "/api/profiles/current")[1]["name"] == "GPT"
    assert running.call("GET", "/api/modes/current")[1]["slug"] == "architect"
    assert running.call("GET", "/api/auto-approve")[1]["alwaysAllowExecute"] is True
    assert {one["name"] for one in running.call("GET", "/api/mcps")[1]} == {"clock", "far-away"}
    code, told = run(running, file, "--env", "HOME_TOKEN", HOME_TOKEN="of-the-environment")
    assert (code, told.splitlines()[-1]) == (0, "2 taken over, 13 left out.")
    code, told = run(running, file)
    assert (code, "Nothing to do" in told.splitlines()[-1]) == (0, True)
    config = running.call("GET", "/api/mcps/clock")[1]["config"]
    assert (config["env"], config["alwaysAllow"]) == ({"PEER_KEY": "********"}, [])
    running.stop()
    assert "NEVERSHOWN" not in running.log.read_text()


def test_on_a_stopped_server_a_key_is_replaced_only_by_name(running: Running, home: Path) -> None:
    running.stop()
    assert run(running, str(home / "export.json"))[0] == 0
    other = export()
    other["providerProfiles"]["apiConfigs"]["GPT"]["openAiNativeApiKey"] = key("newer")
    (home / "other.json").write_bytes(raw(other))
    code, told = run(running, str(home / "other.json"))
    assert (code, "There is a key for it already" in told) == (0, True)
    code, told = run(running, str(home / "other.json"), "--replace", "provider:openai")
    assert (code, told.splitlines()[-1].split()[0]) == (0, "1")
    assert "NEVERSHOWN" not in told


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "no JSON"),
        ("[]", "no settings of Roo's"),
        ('{"globalSettings": 3}', "globalSettings: "),
        (None, "No such file"),
    ],
)
def test_a_file_that_is_none_is_told_in_a_line(running: Running, home: Path, text: str | None, words: str) -> None:
    running.stop()
    if text is not None:
        (home / "bad.json").write_text(text)
    code, told = run(running, str(home / "bad.json"))
    assert (code, words in told, len(told.strip().splitlines())) == (1, True, 1)
    code, told = run(running, str(home / "export.json"), "--project", "/nowhere")
    assert (code, "not a project" in told) == (1, True)


def test_the_file_of_the_first_start_is_taken_over_once(home: Path) -> None:
    server = Running(home / "data", home / "project", ROO_SETTINGS=str(home / "export.json"))
    with server:
        assert f"Roo's settings in {home / 'export.json'}: 20 taken over, 14 left out." in server.log.read_text()
        assert server.call("GET", "/api/profiles/current")[1]["name"] == "GPT"
        assert server.call("GET", "/api/instructions")[1]["instructions"] == "Answer in whole sentences."
        server.call("POST", "/api/profiles/switch", {"name": "default"})
        server.call("POST", "/api/instructions", {"instructions": "Mine by now."})
        server.stop()
        changed = export()
        changed["providerProfiles"]["apiConfigs"]["Later"] = {"apiProvider": "ollama", "ollamaModelId": "m"}
        (home / "export.json").write_bytes(raw(changed))
        server.start()
        assert server.call("GET", "/api/profiles/current")[1]["name"] == "default"
        assert server.call("GET", "/api/instructions")[1]["instructions"] == "Mine by now."
        assert "Later" not in names(server)
        server.stop()
        told = server.log.read_text()
        assert told.count("taken over") == 1
        assert "NEVERSHOWN" not in told


def test_a_bad_file_of_the_first_start_stops_nobody_and_is_tried_again(home: Path) -> None:
    (home / "first.json").write_text('{"providerProfiles": 3}')
    server = Running(home / "data", home / "project", ROO_SETTINGS=str(home / "first.json"))
    with server:
        [line] = [line for line in server.log.read_text().splitlines() if "Roo's settings" in line]
        assert "were not taken over: providerProfiles: " in line
        server.stop()
        (home / "first.json").unlink()
        server.start()
        assert "were not taken over: No such file or directory." in server.log.read_text()
        server.stop()
        (home / "first.json").write_bytes(raw(export()))
        server.start()
        assert "GPT" in names(server)
