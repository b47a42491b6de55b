"""Roo's rule files in the order in which a model is told them, against a project that has every kind of file."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from app.agent import instruction_files, instructions
from app.db import Database

Put = Callable[..., Path]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, database: Database) -> Path:
    """The home of the user that runs the server."""
    found = tmp_path / "home"
    found.mkdir()
    monkeypatch.setenv("HOME", str(found))
    return found


@pytest.fixture
def put(tmp_path: Path, home: Path) -> Put:
    """Write a file of the project, or of the home, whose text is its name; its path."""

    def write(*names: str, at: Path | None = None) -> Path:
        for name in names:
            path = (at or tmp_path / "project") / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(name)
        return path

    write("shop/cart.py")
    return write


def found(tmp_path: Path, below: str = "", mode: str = "code") -> list[str]:
    root = tmp_path / "project"
    return [one.path for one in instructions.find(root / below, root, mode)]


def test_everything_at_once_stands_in_one_order(tmp_path: Path, put: Put, home: Path) -> None:
    put(
        ".roo/rules-code/a.md", ".roo/rules/b.txt", ".roo/rules-ask/no.md", ".roorules", ".roorules-code", ".clinerules",
        ".clinerules-code", "AGENTS.md", "AGENT.md", "AGENTS.local.md", "CLAUDE.md", ".rooignore", "STYLE.md",
    )  # fmt: skip
    put(".roo/rules-code/mine.md", ".roo/rules/mine.md", ".config/opencode/AGENTS.md", at=home)
    (tmp_path / "project/opencode.json").write_text('{"instructions": ["STYLE.md"]}')
    assert found(tmp_path) == [
        f"{home}/.roo/rules-code/mine.md",
        ".roo/rules-code/a.md",
        ".rooignore",
        f"{home}/.config/opencode/AGENTS.md",
        "AGENTS.md",
        "AGENTS.local.md",
        "STYLE.md",
        f"{home}/.roo/rules/mine.md",
        ".roo/rules/b.txt",
    ]


def test_each_tells_whose_it_is_and_how_large(tmp_path: Path, put: Put, home: Path) -> None:
    put("AGENTS.md")
    put(".roo/rules/mine.md", at=home)
    root = tmp_path / "project"
    told = [(one.source, one.size) for one in instructions.find(root, root, "code")]
    assert told == [("project", len("AGENTS.md")), ("server", len(".roo/rules/mine.md"))]


@pytest.mark.parametrize("kind", ["-code", ""])
def test_a_single_file_counts_only_without_a_folder_that_says_something(
    tmp_path: Path, put: Put, home: Path, kind: str
) -> None:
    cline = put(f".clinerules{kind}")
    assert found(tmp_path) == [f".clinerules{kind}"]
    put(f".roorules{kind}")
    assert found(tmp_path) == [f".roorules{kind}"]
    (tmp_path / f"project/.roo/rules{kind}").mkdir(parents=True)
    (tmp_path / f"project/.roo/rules{kind}/empty.md").write_text("\n")
    assert found(tmp_path) == [f".roorules{kind}"], "an empty file says nothing"
    put(f".roo/rules{kind}/a.md")
    assert found(tmp_path) == [f".roo/rules{kind}/a.md"]
    cline.unlink()
    (tmp_path / f"project/.roo/rules{kind}/a.md").unlink()
    put(f".roo/rules{kind}/mine.md", at=home)
    assert found(tmp_path) == [f"{home}/.roo/rules{kind}/mine.md"], "who runs the server has a folder"


def test_a_folder_is_read_to_its_bottom_by_name_whatever_its_files_are_called(tmp_path: Path, put: Put) -> None:
    put(*(f".roo/rules/{name}" for name in ("b", "Z.md", "deep/er/a.rst", "deep/c.md", "a.md", ".hidden")))
    names = [".hidden", "a.md", "deep/er/a.rst", "b", "deep/c.md", "Z.md"]
    assert found(tmp_path) == [f".roo/rules/{name}" for name in names]


def test_what_programs_leave_behind_is_no_rule(tmp_path: Path, put: Put) -> None:
    left = ("x.log", "x.tmp", "x.cache", ".DS_Store", "Thumbs.db", "x.md~", ".x.md.swp", "x.bak", "x.old", "X.LOCK")
    put(*(f".roo/rules/{name}" for name in left), ".roo/rules/log.md")
    (tmp_path / "project/.roo/rules/picture.md").write_bytes(b"GIF89a\0\0")
    assert found(tmp_path) == [".roo/rules/log.md"]


def test_links_are_followed_inside_the_project_and_never_out_of_it(tmp_path: Path, put: Put, home: Path) -> None:
    put("shared/a.md", "shared/b.md")
    put("secret.md", "more/c.md", at=tmp_path)
    rules = tmp_path / "project/.roo/rules"
    rules.mkdir(parents=True)
    (rules / "all").symlink_to("../../shared")
    (rules / "round").symlink_to("../rules")
    (rules / "secret.md").symlink_to(tmp_path / "secret.md")
    (rules / "more").symlink_to(tmp_path / "more")
    told = found(tmp_path)
    assert {".roo/rules/all/a.md", ".roo/rules/all/b.md"} <= set(told)
    assert not [path for path in told if "secret" in path or "more" in path]
    assert max(path.count("round") for path in told) <= 5


def test_files_of_home_count_only_if_the_servers_user_wrote_them(
    tmp_path: Path, put: Put, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(".roo/rules/a.md", at=home)
    put(".roorules")
    monkeypatch.setattr(instruction_files, "server_user", lambda: os.geteuid() + 1)
    assert found(tmp_path) == [".roorules"]


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["AGENTS.md", "AGENT.md", "CLAUDE.md"], ["AGENTS.md"]),
        (["AGENT.md", "CLAUDE.md"], ["AGENT.md"]),
        (["CLAUDE.md", "AGENTS.local.md"], ["CLAUDE.md", "AGENTS.local.md"]),
        (["AGENTS.local.md"], ["AGENTS.local.md"]),
        (["shop/AGENTS.md", "shop/AGENTS.local.md", "AGENT.md"], ["shop/AGENTS.md", "shop/AGENTS.local.md"]),
    ],
)
def test_one_name_of_agents_md_counts_and_what_is_not_shared_beside_it(
    tmp_path: Path, put: Put, names: list[str], told: list[str]
) -> None:
    put(*names)
    assert found(tmp_path, "shop") == told


def test_folders_on_the_way_have_rules_of_their_own(tmp_path: Path, put: Put) -> None:
    put(".roo/rules/a.md", "shop/.roorules", "shop/.roo/rules-code/c.md")
    assert found(tmp_path, "shop") == ["shop/.roo/rules-code/c.md", ".roo/rules/a.md", "shop/.roorules"]


def test_the_model_is_told_what_is_kept_from_it(tmp_path: Path, put: Put) -> None:
    (tmp_path / "project/.rooignore").write_text("secrets/\n")
    root = tmp_path / "project"
    words = instructions.words(instructions.find(root, root, "code"))
    assert words.startswith("# Instructions from .rooignore\n.rooignore keeps these paths from you")
    assert words.endswith("secrets/")
