"""OpenCode's project routes answer in its shapes."""

from __future__ import annotations

from pathlib import Path

import pytest

from app import ids
from app.actor import Actor
from app.projects import service
from tests.conftest import Caller

PATHS = [
    "/project",
    "/project/current",
    "/path",
    "/vcs",
    "/experimental/workspace",
    "/experimental/workspace/status",
    "/api/location",
]


@pytest.mark.parametrize("path", PATHS)
def test_a_stranger_is_turned_away(stranger: Caller, path: str) -> None:
    assert stranger.get(f"/opencode{path}").status_code == 401


@pytest.mark.parametrize("path", PATHS[1:])
def test_a_directory_that_is_no_project_is_denied(call: Caller, path: str, tmp_path: Path) -> None:
    assert call.get(f"/opencode{path}?directory={tmp_path}").status_code == 403


@pytest.mark.parametrize("path", PATHS[1:])
@pytest.mark.parametrize("directory", ["relative", "a%00b", "%0a"])
def test_bad_directories_are_told_plainly(call: Caller, path: str, directory: str) -> None:
    answer = call.get(f"/opencode{path}?directory={directory}")
    assert (answer.status_code, answer.json["name"]) == (400, "BadRequest")


def test_the_current_project_is_one_of_all(call: Caller, alice: Actor) -> None:
    place = service.resolve(alice, None)
    current = call.get("/opencode/project/current").json
    assert current in call.get("/opencode/project").json
    assert current["worktree"] == str(place.directory)
    assert current["vcs"] == "git"
    assert current["id"] == place.project.id
    assert 0 < current["time"]["created"] <= ids.now()
    assert current["sandboxes"] == []


def test_a_directory_without_git_has_no_vcs(call: Caller, alice: Actor, tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.mkdir()
    service.add(alice, str(plain))
    ask = f"?directory={plain}"
    assert "vcs" not in call.get(f"/opencode/project/current{ask}").json
    assert call.get(f"/opencode/vcs{ask}").json == {}
    assert call.get(f"/opencode/path{ask}").json["directory"] == str(plain)


def test_an_initialized_project_says_since_when(call: Caller, alice: Actor) -> None:
    project = service.set_initialized(alice, service.resolve(alice, None).project.id)
    assert call.get("/opencode/project/current").json["time"]["initialized"] == project.initialized


def test_it_tells_the_branch(call: Caller) -> None:
    assert call.get("/opencode/vcs").json == {"branch": "main", "default_branch": "main"}


def test_it_tells_where_things_are(call: Caller, alice: Actor) -> None:
    found = call.get("/opencode/path").json
    assert set(found) == {"home", "state", "config", "worktree", "directory"}
    assert found["worktree"] == found["directory"] == str(service.resolve(alice, None).directory)


def test_a_project_tells_where_it_is_worked_on(call: Caller, alice: Actor) -> None:
    place = service.resolve(alice, None)
    tree = service.with_worktree(alice, place.project, place.directory, "Fix rounding")
    found = call.get(f"/opencode/project/{place.project.id}/directories").json
    assert found == [
        {"directory": place.project.root},
        {"directory": str(tree.directory), "strategy": "git_worktree"},
    ]
    (workspace,) = call.get("/opencode/experimental/workspace").json
    assert (workspace["directory"], workspace["branch"]) == (str(tree.directory), "signalcabin/fix-rounding")
    assert workspace["projectID"] == place.project.id
    connected = {"workspaceID": workspace["id"], "status": "connected"}
    assert call.get("/opencode/experimental/workspace/status").json == [connected]
    location = call.get("/opencode/api/location", query_string={"location[directory]": str(tree.directory)}).json
    assert location == {
        "directory": str(tree.directory),
        "project": {"id": place.project.id, "directory": place.project.root},
    }


def test_a_project_that_is_none_has_no_directories(call: Caller) -> None:
    assert call.get("/opencode/project/prj_none/directories").status_code == 404
