"""Which instruction files are in force, where they are read from, and what of them is left out."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from app.agent import instructions
from app.agent.instructions import ALL_TOGETHER, LARGEST
from app.db import Database

Put = Callable[[str, str], Path]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, database: Database) -> Path:
    found = tmp_path / "home"
    (found / ".config" / "opencode").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(found))
    return found


@pytest.fixture
def put(tmp_path: Path, home: Path) -> Put:
    """Write a file of the project; its path."""

    def write(name: str, text: str) -> Path:
        path = tmp_path / "project" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    write("shop/cart.py", "")
    return write


def found(tmp_path: Path, below: str = "", mode: str = "build") -> list[tuple[str, str]]:
    root = tmp_path / "project"
    return [(one.path, one.told) for one in instructions.find(root / below, root, mode)]


def test_every_agents_md_on_the_way_counts_the_nearest_last(tmp_path: Path, put: Put, home: Path) -> None:
    (home / ".config/opencode/AGENTS.md").write_text("Mine.")
    put("AGENTS.md", "Of all.\n")
    put("shop/AGENTS.md", "Of the shop.")
    put("other/AGENTS.md", "Of others.")
    told = [
        (str(home / ".config/opencode/AGENTS.md"), "Mine."),
        ("AGENTS.md", "Of all."),
        ("shop/AGENTS.md", "Of the shop."),
    ]
    assert found(tmp_path, "shop") == told
    assert found(tmp_path) == told[:2]


def test_claude_md_counts_only_where_there_is_no_agents_md(tmp_path: Path, put: Put) -> None:
    put("CLAUDE.md", "For Claude.")
    assert found(tmp_path, "shop") == [("CLAUDE.md", "For Claude.")]
    put("shop/AGENTS.md", "For all.")
    assert found(tmp_path, "shop") == [("shop/AGENTS.md", "For all.")]


def test_opencode_json_names_paths_and_patterns(tmp_path: Path, put: Put) -> None:
    put("opencode.json", '{"instructions": ["CONTRIBUTING.md", "docs/*.md", ".cursor/rules/**/*.md", "docs/a.md"]}')
    put("CONTRIBUTING.md", "C")
    put("docs/b.md", "B")
    put("docs/a.md", "A")
    put("docs/a.txt", "no")
    put(".cursor/rules/deep/er/r.md", "R")
    told = [("CONTRIBUTING.md", "C"), ("docs/a.md", "A"), ("docs/b.md", "B"), (".cursor/rules/deep/er/r.md", "R")]
    assert found(tmp_path) == told


def test_roo_s_rules_of_the_mode_come_before_those_of_all(tmp_path: Path, put: Put) -> None:
    put(".roo/rules/b.md", "B")
    put(".roo/rules/a.md", "A")
    put(".roo/rules-plan/p.md", "P")
    put(".roorules", "old")
    assert found(tmp_path, mode="plan") == [
        (".roo/rules-plan/p.md", "P"),
        (".roo/rules/a.md", "A"),
        (".roo/rules/b.md", "B"),
    ]
    assert [path for path, _text in found(tmp_path)] == [".roo/rules/a.md", ".roo/rules/b.md"]


def test_the_older_roorules_count_where_there_is_no_folder(tmp_path: Path, put: Put) -> None:
    put(".roorules", "old")
    put(".roorules-plan", "older")
    assert found(tmp_path, mode="plan") == [(".roorules-plan", "older"), (".roorules", "old")]
    assert found(tmp_path, mode="../../x") == [(".roorules", "old")]


@pytest.mark.parametrize("named", ["../secret.md", "/etc/hostname", "~/secret.md", "link.md", "{outside}", "../*.md"])
def test_a_project_s_file_names_nothing_outside_of_it(tmp_path: Path, put: Put, home: Path, named: str) -> None:
    (tmp_path / "secret.md").write_text("topsecret")
    (home / "secret.md").write_text("topsecret")
    (tmp_path / "project/link.md").symlink_to(tmp_path / "secret.md")
    (tmp_path / "project/AGENTS.md").symlink_to(tmp_path / "secret.md")
    put("opencode.json", json.dumps({"instructions": [named.format(outside=tmp_path / "secret.md")]}))
    assert found(tmp_path) == []


def test_what_the_server_s_own_user_names_may_lie_anywhere(tmp_path: Path, put: Put, home: Path) -> None:
    (tmp_path / "team").mkdir()
    (tmp_path / "team/rules.md").write_text("Team.")
    (home / "mine.md").write_text("Mine.")
    put("STYLE.md", "Style.")
    named = f'{{"instructions": ["{tmp_path}/team/*.md", "~/mine.md", "STYLE.md"]}}'
    (home / ".config/opencode/opencode.json").write_text(named)
    told = [(str(tmp_path / "team/rules.md"), "Team."), (str(home / "mine.md"), "Mine."), ("STYLE.md", "Style.")]
    assert found(tmp_path) == told


def test_an_address_is_told_and_never_fetched(tmp_path: Path, put: Put) -> None:
    put("opencode.json", '{"instructions": ["https://example.com/rules.md"]}')
    root = tmp_path / "project"
    (one,) = instructions.find(root, root, "build")
    assert (one.path, one.text, one.note) == ("https://example.com/rules.md", "", "not read: addresses are not fetched")
    assert instructions.words([one]) == ""


def test_a_file_that_changes_is_read_again(tmp_path: Path, put: Put) -> None:
    path = put("AGENTS.md", "One.")
    assert found(tmp_path) == [("AGENTS.md", "One.")]
    path.write_text("Two.")
    os.utime(path, ns=(1, 1))
    assert found(tmp_path) == [("AGENTS.md", "Two.")]
    path.unlink()
    assert found(tmp_path) == []


def test_an_unchanged_file_is_not_read_again(tmp_path: Path, put: Put) -> None:
    path = put("AGENTS.md", "One.")
    os.utime(path, ns=(1, 1))
    assert found(tmp_path) == [("AGENTS.md", "One.")]
    path.write_text("Two.")
    os.utime(path, ns=(1, 1))
    assert found(tmp_path) == [("AGENTS.md", "One.")], "the stamp and the size say that it is the same"


def test_a_long_file_is_cut_with_a_word(tmp_path: Path, put: Put) -> None:
    put("AGENTS.md", "x" * (LARGEST + 1))
    (one,) = instructions.find(tmp_path / "project", tmp_path / "project", "build")
    assert (len(one.text), one.note) == (LARGEST, "only its first 64 KiB are told")
    assert one.told.endswith("x\n[only its first 64 KiB are told]")


def test_many_long_files_are_left_out_with_a_word(tmp_path: Path, put: Put) -> None:
    for number in range(5):
        put(f".roo/rules/{number}.md", str(number) * LARGEST)
    told = instructions.find(tmp_path / "project", tmp_path / "project", "build")
    assert [bool(one.text) for one in told] == [True] * (ALL_TOGETHER // LARGEST) + [False] * 2
    assert told[-1].note == "left out: there are more than 192 KiB of instructions"


def test_folders_fifos_and_binaries_do_no_harm(tmp_path: Path, put: Put) -> None:
    put("opencode.json", '{"instructions": ["docs", "pipe.md", "image.md", 7, ""]}')
    put("docs/a.md", "A")
    os.mkfifo(tmp_path / "project/pipe.md")
    (tmp_path / "project/image.md").write_bytes(b"\xff\x00\xfe")
    assert found(tmp_path) == [("image.md", "\ufffd\ufffd\ufffd")]


def test_a_pattern_may_stand_in_the_middle_of_an_absolute_path(tmp_path: Path, put: Put, home: Path) -> None:
    (tmp_path / "team/a").mkdir(parents=True)
    (tmp_path / "team/a/rules.md").write_text("Team.")
    (home / ".config/opencode/opencode.json").write_text(f'{{"instructions": ["{tmp_path}/team/*/rules.md"]}}')
    assert found(tmp_path) == [(str(tmp_path / "team/a/rules.md"), "Team.")]


def test_a_directory_that_is_gone_has_none(tmp_path: Path, home: Path) -> None:
    assert instructions.find(tmp_path / "gone", tmp_path / "gone", "build") == []
