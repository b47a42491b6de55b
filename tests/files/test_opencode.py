"""OpenCode's file routes answer in its shapes and tell bad input plainly."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path

import pytest

from app.actor import Actor
from app.files import service
from app.projects import service as projects
from tests.conftest import Caller
from tests.visitor import data_of, frames

PATHS = ["/find?pattern=x", "/find/file?query=x", "/file?path=", "/file/content?path=a", "/file/status",
         "/vcs/status", "/vcs/diff?mode=git"]  # fmt: skip


@pytest.fixture
def directory(alice: Actor, tmp_path: Path) -> str:
    work = tmp_path / "shop"
    (work / "src").mkdir(parents=True)
    (work / "src" / "a.py").write_text("def alpha_function():\n")
    (work / "README.md").write_text("\nhello world\n")
    (work / "img.png").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR")
    projects.add(alice, str(work))
    return str(work)


@pytest.mark.parametrize("path", PATHS)
def test_a_stranger_is_turned_away(stranger: Caller, path: str) -> None:
    assert stranger.get(f"/opencode{path}").status_code == 401


@pytest.mark.parametrize("path", PATHS)
def test_a_directory_that_is_no_project_is_denied(call: Caller, path: str, tmp_path: Path) -> None:
    answer = call.get(f"/opencode{path}", headers={"x-opencode-directory": str(tmp_path)})
    assert answer.status_code == 403
    assert "Projects page" in answer.json["data"]["message"]


def test_find_answers_ripgreps_matches(call: Caller, directory: str) -> None:
    assert call.get(f"/opencode/find?pattern=alpha&directory={directory}").json == [
        {
            "path": {"text": "src/a.py"},
            "lines": {"text": "def alpha_function():\n"},
            "line_number": 1,
            "absolute_offset": 0,
            "submatches": [{"match": {"text": "alpha"}, "start": 4, "end": 9}],
        }
    ]


def test_find_file_answers_paths(call: Caller, directory: str) -> None:
    ask = f"/opencode/find/file?directory={directory}"
    assert call.get(f"{ask}&query=a.p").json == ["src/a.py"]
    assert call.get(f"{ask}&query=").json == ["src/"]
    assert call.get(f"{ask}&query=src&dirs=false").json == ["src/a.py"]
    assert call.get(f"{ask}&query=s&type=directory&limit=1").json == ["src/"]


def test_file_answers_nodes(call: Caller, directory: str) -> None:
    for path in ("", ".", "./"):
        found = call.get(f"/opencode/file?path={path}&directory={directory}").json
        assert [node["name"] for node in found] == ["src", "img.png", "README.md"]
    assert found[0] == {
        "name": "src",
        "path": "src",
        "absolute": f"{directory}/src",
        "type": "directory",
        "ignored": False,
    }


def test_file_content_answers_trimmed_text(call: Caller, directory: str) -> None:
    found = call.get(f"/opencode/file/content?path=README.md&directory={directory}").json
    assert found == {"type": "text", "content": "hello world"}
    missing = call.get(f"/opencode/file/content?path=nosuch.txt&directory={directory}").json
    assert missing == {"type": "text", "content": ""}


def test_file_content_answers_pictures_in_base64(call: Caller, directory: str) -> None:
    found = call.get(f"/opencode/file/content?path=img.png&directory={directory}").json
    assert found == {
        "type": "binary",
        "content": "iVBORw0KGgoAAAANSUhEUg==",
        "encoding": "base64",
        "mimeType": "image/png",
    }


def test_a_changed_file_comes_with_its_patch(call: Caller, alice: Actor) -> None:
    work = projects.resolve(alice, None).directory
    text = (work / "README.md").read_text()
    (work / "README.md").write_text(text + "One more line.\n")
    found = call.get("/opencode/file/content?path=README.md").json
    assert "+One more line." in found["patch"]["hunks"][0]["lines"]
    assert found["diff"].startswith("Index: README.md\n=====")
    changed = {"path": "README.md", "added": 1, "removed": 0, "status": "modified"}
    assert call.get("/opencode/file/status").json == [changed]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/find", 400),
        ("/find?pattern=%5B", 400),
        ("/find?pattern=a%00b", 400),
        (f"/find?pattern={'x' * 1001}", 400),
        ("/find/file", 400),
        ("/find/file?query=a&limit=0", 400),
        ("/find/file?query=a&limit=many", 400),
        ("/find/file?query=a&type=socket", 400),
        ("/file", 400),
        ("/file?path=nosuch", 404),
        ("/file?path=README.md", 404),
        ("/file?path=..", 403),
        ("/file?path=a%00b", 400),
        ("/file/content", 400),
        ("/file/content?path=src", 400),
        ("/file/content?path=../../etc/passwd", 403),
        ("/file/content?path=/etc/hostname", 403),
        ("/file/content?path=file:///etc/passwd", 400),
        ("/vcs/diff", 400),
        ("/vcs/diff?mode=working", 400),
        ("/vcs/diff?mode=git&context=-1", 400),
        ("/vcs/diff?mode=git&context=many", 400),
    ],
)
def test_bad_input_is_told_plainly(call: Caller, directory: str, path: str, status: int) -> None:
    answer = call.get(f"/opencode{path}", headers={"x-opencode-directory": directory})
    assert answer.status_code == status
    assert answer.json["data"]["message"]


def test_who_follows_the_directory_hears_of_what_another_wrote(call: Caller, alice: Actor, depot: Path) -> None:
    projects.add(alice, str(depot))
    place = projects.resolve(alice, str(depot))
    streams = [frames(call.get(path, buffered=False)) for path in (f"/event?directory={depot}", "/event")]
    service.write(alice, place, "docs/new.md", b"new")
    service.write(alice, place, "/tmp/scratch", b"nobody hears of it")
    service.remove(alice, place, "a.txt")
    for stream in streams:
        told = [json.loads(data_of(frame)) for frame in islice(stream, 5)]
        stream.close()  # type: ignore[attr-defined]
        assert [(event["type"], event["properties"]) for event in told[1:]] == [
            ("file.edited", {"file": f"{depot}/docs/new.md"}),
            ("file.watcher.updated", {"file": f"{depot}/docs/new.md", "event": "add"}),
            ("file.edited", {"file": f"{depot}/a.txt"}),
            ("file.watcher.updated", {"file": f"{depot}/a.txt", "event": "unlink"}),
        ]
