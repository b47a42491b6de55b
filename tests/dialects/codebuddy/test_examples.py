"""The curl commands of CodeBuddy's document, word for word, against a real server.

Only what the document itself leaves open is filled in: the port, who asks, and the names in capitals.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.dialects.codebuddy import curl
from tests.running import TOKEN, Running

HEALTH = "curl http://127.0.0.1:8080/api/v1/health"
METRICS = "curl http://127.0.0.1:8080/api/v1/metrics"
NEW_TERMINAL = r"""curl -X POST http://127.0.0.1:8080/api/v1/pty \
-H "Content-Type: application/json" \
-d '{"cols": 120, "rows": 40}'"""
TERMINALS = "curl http://127.0.0.1:8080/api/v1/pty"
OUTPUT = "curl http://127.0.0.1:8080/api/v1/pty/SESSION_ID/output"
TYPE = r"""curl -X POST http://127.0.0.1:8080/api/v1/pty/SESSION_ID/input/send \
-H "Content-Type: application/json" \
-d '{"data": "ls -la\n"}'"""
RESIZE = r"""curl -X POST http://127.0.0.1:8080/api/v1/pty/SESSION_ID/resize \
-H "Content-Type: application/json" \
-d '{"cols": 200, "rows": 50}'"""
END_TERMINAL = "curl -X DELETE http://127.0.0.1:8080/api/v1/pty/SESSION_ID"
DOWNLOAD = 'curl "http://127.0.0.1:8080/api/v1/files/download?path=/tmp/test.txt"'
UPLOAD = r"""curl -X POST "http://127.0.0.1:8080/api/v1/files/upload?path=/tmp/upload.txt" \
-H "Content-Type: application/octet-stream" \
--data-binary @local-file.txt"""
STAT = r"""curl -X POST http://127.0.0.1:8080/api/v1/fs/stat \
-H "Content-Type: application/json" \
-d '{"path": "/tmp"}'"""
LIST = r"""curl -X POST http://127.0.0.1:8080/api/v1/fs/list \
-H "Content-Type: application/json" \
-d '{"path": "/tmp", "depth": 2}'"""
MAKE = r"""curl -X POST http://127.0.0.1:8080/api/v1/fs/mkdir \
-H "Content-Type: application/json" \
-d '{"path": "/tmp/new-dir"}'"""
SEARCH = 'curl "http://127.0.0.1:8080/api/v1/fs/search?query=component&limit=10"'
START = r"""curl -X POST http://127.0.0.1:8080/api/v1/process/start \
-H "Content-Type: application/json" \
-d '{"process": {"cmd": "python3", "args": ["script.py"]}, "tag": "my-script"}'"""
START_STREAM = r"""curl -X POST http://127.0.0.1:8080/api/v1/process/start \
-H "Content-Type: application/json" \
-H "Accept: text/event-stream" \
-d '{"process": {"cmd": "python3", "args": ["script.py"]}}'"""
PROCESSES = "curl http://127.0.0.1:8080/api/v1/process/list"
SAY = r"""curl -X POST http://127.0.0.1:8080/api/v1/process/input/send \
-H "Content-Type: application/json" \
-d '{"process": {"pid": 12345}, "input": {"stdin": "hello\n"}}'"""
END = r"""curl -X POST http://127.0.0.1:8080/api/v1/process/signal/send \
-H "Content-Type: application/json" \
-d '{"process": {"tag": "my-script"}, "signal": 15}'"""
# Says what it reads, until it is told to stop.
ECHO = "import sys\nprint('ready', flush=True)\nfor line in sys.stdin:\n    print('heard', line.strip(), flush=True)\n"


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a component, a script, and a file to upload."""
    root = tmp_path_factory.mktemp("workspace")
    (root / "src").mkdir()
    (root / "src/component.ts").write_text("export {}\n")
    (root / "script.py").write_text(ECHO)
    (root / "local-file.txt").write_text("from here\n")
    return root


@pytest.fixture(scope="module")
def served(workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server whose project that is."""
    with Running(tmp_path_factory.mktemp("data") / "data", workspace) as running:
        yield running


class Person:
    """Types the document's commands into a shell in the workspace."""

    def __init__(self, served: Running, workspace: Path) -> None:
        self._served = served
        self._workspace = workspace

    def run(self, text: str, *, until: str = "", **filled: str) -> tuple[int, str, str]:
        """Run a command, with what the document leaves open filled in."""
        for name, value in filled.items():
            assert name in text
            text = text.replace(name, value)
        return curl.send(curl.read(text, self._workspace), self._served.port, TOKEN, until=until)

    def data(self, text: str, **filled: str) -> Any:
        """What the answer holds."""
        return curl.data(self.run(text, **filled))


@pytest.fixture
def person(served: Running, workspace: Path) -> Person:
    """Who follows the document."""
    return Person(served, workspace)


def events(text: str, kind: str) -> list[dict[str, Any]]:
    """The data of the stream's events of a kind."""
    blocks = [block.splitlines() for block in text.split("\n\n")]
    return [
        json.loads(line[len("data:") :])
        for block in blocks
        if f"event: {kind}" in block
        for line in block
        if line.startswith("data:")
    ]


def test_the_server_is_well_and_says_what_it_uses(person: Person) -> None:
    assert person.data(HEALTH)["status"] == "ok"
    metrics = person.data(METRICS)
    assert {"ts", "cpuCount", "cpuUsedPct", "memTotalMib", "memUsedMib", "diskUsed", "diskTotal"} <= set(metrics)
    assert {"id", "cwd", "pid", "rssMib", "heapUsedMib", "heapTotalMib", "uptimeSeconds"} <= set(
        metrics["instances"][0]
    )


def test_a_terminal_from_its_creation_to_its_end(person: Person) -> None:
    made = person.data(NEW_TERMINAL)
    assert (made["cols"], made["rows"]) == (120, 40)
    own = {"SESSION_ID": made["sessionId"]}
    assert made["sessionId"] in [one["id"] for one in person.data(TERMINALS)["sessions"]]
    assert person.data(TYPE, **own) == {}
    status, kind, text = person.run(OUTPUT, until="script.py", **own)
    assert (status, kind.partition(";")[0]) == (200, "text/event-stream")
    assert "script.py" in text
    assert events(text + "\n\n", "output")
    assert person.data(RESIZE, **own) == {}
    assert [(one["cols"], one["rows"]) for one in person.data(TERMINALS)["sessions"]] == [(200, 50)]
    assert person.run(END_TERMINAL, **own)[0] == 204
    assert person.run(END_TERMINAL, **own)[0] == 404


def test_files_are_uploaded_listed_made_and_read_back(person: Person) -> None:
    status, _, text = person.run(DOWNLOAD)
    assert (status, json.loads(text)["error"]["code"]) == (404, "NOT_FOUND")
    [entry] = person.data(UPLOAD)["entries"]
    assert (entry["path"], entry["type"], entry["size"]) == ("/tmp/upload.txt", "file", 10)
    assert person.run(DOWNLOAD.replace("test.txt", "upload.txt"))[::2] == (200, "from here\n")
    assert person.data(STAT)["entry"]["type"] == "directory"
    assert person.data(MAKE)["entry"]["path"] == "/tmp/new-dir"
    paths = {one["path"] for one in person.data(LIST)["entries"]}
    assert {"/tmp/upload.txt", "/tmp/new-dir"} <= paths


def test_a_file_is_found_by_a_word_of_its_name(person: Person) -> None:
    status, _, text = person.run(SEARCH)
    assert status == 200
    assert [(one["path"], one["type"]) for one in json.loads(text)["items"]] == [("src/component.ts", "file")]


def test_a_process_is_started_spoken_to_and_stopped(person: Person) -> None:
    started = person.data(START)
    assert started["tag"] == "my-script"
    listed = {one["pid"]: one for one in person.data(PROCESSES)["processes"]}
    assert listed[started["pid"]]["config"]["args"] == ["script.py"]
    assert person.data(SAY, **{"12345": str(started["pid"])}) == {}
    connect = START_STREAM.replace("process/start", "process/connect").replace(
        '"cmd": "python3", "args": ["script.py"]', f'"pid": {started["pid"]}'
    )
    assert "ready" in person.run(connect, until="heard hello")[2]
    assert person.data(END) == {}
    assert events(person.run(connect, until="\n\nevent: end")[2] + "\n\n", "start") == [{"pid": started["pid"]}]


def test_a_process_that_is_watched_shows_what_it_prints_as_it_comes(person: Person) -> None:
    _, kind, text = person.run(START_STREAM, until="ready")
    assert kind.partition(";")[0] == "text/event-stream"
    assert events(text + "\n\n", "start")[0]["pid"] > 0
    assert events(text + "\n\n", "data")[0] == {"stdout": "ready\n"}
