"""What a real CodeBuddy server was asked about files and answered, in its order, asked here again."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app import config
from app.actor import Actor
from app.dialects.mount import Cabin
from app.files import service as files
from app.projects import service as projects
from tests.conftest import Caller

RECORDED = [json.loads(line) for line in (Path(__file__).parent / "files.jsonl").read_text().splitlines()]
# What we answer instead, and why.
DIFFERENT = {
    "upload_isdir": (400, "a folder is no place for a body; 500 is no answer"),
    "download_range": (206, "ranges are served"),
    "download_etcpasswd": (404, "it lies outside"),
    "stat_dev": (404, "it lies outside"),
    "stat_badjson": (400, "a body that is no JSON is the caller's mistake"),
    "stat_num": (400, "so is a path that is no text"),
    "stat_get": (405, "the address is there, the method is not"),
    "head": (200, "HEAD is served"),
}
# What somebody did on the disk before a step.
BEFORE = {
    "download_mp": lambda cbt: (cbt / "mp.txt").write_text("{}"),
    "compose": lambda cbt: [(cbt / name).write_text(text) for name, text in (("x1", "one"), ("x2", "two\n"))],
    "stat_file": lambda cbt: [
        (cbt / name).symlink_to(to) for name, to in (("lnk", "/tmp/cbt/up.txt"), ("brk", "/tmp/none"))
    ],
}
ALIKE = ("name", "type", "path", "symlinkTarget")


@pytest.fixture
def cbt(app: Cabin, alice: Actor, tmp_path: Path) -> Path:
    """A folder in the scratch directory of a project, as the recording began with."""
    work = tmp_path / "work"
    (work / ".git").mkdir(parents=True)
    (work / "a.txt").write_text("hello\n")
    (work / "script.py").write_text("print(1)\n")
    config.use(replace(config.current(), project=work))
    projects.ensure_defaults()
    place = projects.resolve(alice, None)
    return Path(files.scratch_of(place.directory, projects.private_of(place.project)).path) / "cbt"


def ask(call: Caller, step: dict[str, Any]) -> Any:
    more = {"data": step["data"]} if "data" in step else {}
    return call(step["method"], step["path"], step.get("json"), headers=step.get("headers", {}), **more)


def check_entry(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    assert set(ours) == set(theirs)
    assert [ours.get(name) for name in ALIKE] == [theirs.get(name) for name in ALIKE]
    assert ours["type"] == "directory" or ours["size"] == theirs["size"] or ours["type"] == "symlink"
    assert ours["mode"] >> 12 == theirs["mode"] >> 12
    assert [re.sub(r"\d", "0", str(ours[name])) for name in ("modifiedTime",)] == ["0000-00-00T00:00:00.000Z"]
    assert re.fullmatch(r"[r-][w-][x-]{7}|[rwx-]{9}", ours["permissions"])
    assert (type(ours["owner"]), type(ours["group"])) == (str, str)


def check_body(ours: Any, theirs: Any) -> None:
    if "error" in theirs:
        assert ours["error"]["code"] == theirs["error"]["code"]
        return
    assert set(ours) == set(theirs) == {"data"}
    if "entry" in theirs["data"]:
        check_entry(ours["data"]["entry"], theirs["data"]["entry"])
    elif "entries" in theirs["data"]:
        mine, other = ({entry["path"]: entry for entry in one["data"]["entries"]} for one in (ours, theirs))
        assert set(mine) == set(other)
        for path, entry in mine.items():
            check_entry(entry, other[path])
    else:
        assert ours == theirs


def check_download(answer: Any, step: dict[str, Any]) -> None:
    assert answer.headers["Content-Type"].split(";")[0] == step["type"]
    assert answer.headers["Content-Disposition"].endswith(step["disposition"].removeprefix("attachment; "))
    assert answer.data[:4] == b"PK\3\4" if step["name"] == "download_dir" else answer.text == step["body"]


def test_every_recorded_step_is_answered_alike(call: Caller, cbt: Path) -> None:
    assert {step["name"] for step in RECORDED} >= set(DIFFERENT) | set(BEFORE)
    for step in RECORDED:
        BEFORE.get(step["name"], lambda _cbt: None)(cbt)
        answer = ask(call, step)
        status, _why = DIFFERENT.get(step["name"], (step["status"], ""))
        assert answer.status_code == status, (step["name"], answer.text)
        if step["name"] in DIFFERENT or ("type" not in step and "body" not in step):
            continue
        if "type" in step:
            check_download(answer, step)
        else:
            check_body(answer.json, step["body"])
