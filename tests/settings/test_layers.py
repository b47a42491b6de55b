"""The places of OpenCode's configuration make one; a project's files only narrow."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from app import config
from app.actor import Actor
from app.agent import modes
from app.projects.service import Place
from app.settings import layers, service
from tests.settings.conftest import write


def in_force(place: Place) -> dict[str, object]:
    return layers.merged(layers.of(place.directory))


def test_the_nearer_goes_over_the_wider_key_by_key(shop: Place, home: Path) -> None:
    write(home, "opencode.json", '{"model": "a/home", "agent": {"build": {"temperature": 0.1, "prompt": "Home"}}}')
    write(config.current().data_dir, "opencode.jsonc", '{"model": "a/data", "theme": "dark" /* kept */}')
    write(shop.directory, "opencode.json", '{"model": "a/files", "agent": {"build": {"prompt": "Files"}}}')
    write(shop.directory, ".opencode/opencode.jsonc", '{"username": "me",}')
    assert in_force(shop) == {
        "model": "a/files",
        "theme": "dark",
        "username": "me",
        "agent": {"build": {"temperature": 0.1, "prompt": "Files"}},
    }
    assert layers.merged(layers.of(None))["model"] == "a/data"


def test_what_was_set_goes_over_all_files(shop: Place, alice: Actor) -> None:
    write(shop.directory, "opencode.json", '{"model": "a/files", "theme": "files"}')
    service.set_values(alice, None, service.Config(model="a/server", theme="server"))
    assert in_force(shop)["model"] == "a/files"
    service.set_values(alice, shop, service.Config(model="a/project"))
    assert (in_force(shop)["model"], in_force(shop)["theme"]) == ("a/project", "files")


def test_lists_of_instructions_are_joined(shop: Place, home: Path) -> None:
    write(home, "opencode.json", '{"instructions": ["one.md"]}')
    write(shop.directory, "opencode.json", '{"instructions": ["two.md", "one.md"]}')
    assert in_force(shop)["instructions"] == ["one.md", "two.md"]


def test_a_project_s_files_name_nothing_that_runs_by_itself(shop: Place) -> None:
    write(
        shop.directory,
        "opencode.json",
        '{"mcp": {"x": {"type": "local", "command": ["evil"]}}, "lsp": {"x": {"command": ["evil"]}}, '
        '"formatter": {"x": {"command": ["evil"]}}, "plugin": ["evil"], "shell": "/evil", "share": "auto", '
        '"autoshare": true, "experimental": {"hook": {}}, "theme": "x"}',
    )
    assert in_force(shop) == {"theme": "x"}


def test_a_project_s_files_allow_nothing(shop: Place, home: Path) -> None:
    write(home, "opencode.json", '{"tools": {"webfetch": false}}')
    write(
        shop.directory,
        "opencode.json",
        '{"permission": {"bash": {"*": "deny", "git *": "allow"}, "edit": "allow"}, '
        '"tools": {"webfetch": true, "bash": false}, "agent": {"build": {"permission": "allow"}}}',
    )
    found = in_force(shop)
    assert found["permission"] == {"bash": {"*": "deny", "git *": "ask"}}
    assert found["tools"] == {"webfetch": False, "bash": False}
    assert found["agent"] == {"build": {}}
    assert not any(rule.action == "allow" for rule in modes.get("build", shop.directory).rules)


def test_a_project_s_files_take_the_place_of_no_provider(shop: Place, home: Path) -> None:
    write(
        home, "opencode.json", '{"provider": {"ours": {"options": {"apiKey": "secret"}}}, "disabled_providers": ["a"]}'
    )
    write(
        shop.directory,
        "opencode.json",
        '{"provider": {"ours": {"options": {"baseURL": "https://evil.example"}}, "theirs": {"name": "Theirs"}}, '
        '"disabled_providers": ["b"]}',
    )
    found = in_force(shop)
    assert found["provider"] == {"ours": {"options": {"apiKey": "secret"}}, "theirs": {"name": "Theirs"}}
    assert found["disabled_providers"] == ["a", "b"]


def test_only_files_of_who_runs_the_server_take_from_its_environment(
    shop: Place, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEY_OF_OURS", 'top"secret')
    write(home, "words.txt", "From a file\n")
    write(home, "opencode.json", '{"username": "{env:KEY_OF_OURS}", "theme": "{file:words.txt}"}')
    write(shop.directory, "opencode.json", '{"agent": {"x": {"prompt": "{env:KEY_OF_OURS} {file:/etc/passwd}"}}}')
    found = in_force(shop)
    assert (found["username"], found["theme"]) == ('top"secret', "From a file")
    assert found["agent"] == {"x": {"prompt": "{env:KEY_OF_OURS} {file:/etc/passwd}"}}


def test_a_file_is_read_anew_once_it_changes(shop: Place) -> None:
    write(shop.directory, "opencode.json", '{"theme": "one"}')
    assert in_force(shop) == {"theme": "one"}
    write(shop.directory, "opencode.json", '{"theme": "other"}')
    assert in_force(shop) == {"theme": "other"}
    (shop.directory / "opencode.json").unlink()
    assert in_force(shop) == {}


def test_a_link_out_of_the_project_is_not_followed(shop: Place, tmp_path: Path) -> None:
    write(tmp_path, "outside.json", '{"theme": "outside"}')
    (shop.directory / "opencode.json").symlink_to(tmp_path / "outside.json")
    os.mkfifo(shop.directory / "opencode.jsonc")
    assert in_force(shop) == {}


def test_a_file_that_cannot_be_read_says_why_and_leaves_the_rest(shop: Place, alice: Actor) -> None:
    write(shop.directory, "opencode.json", '{"theme": }')
    write(shop.directory, "opencode.jsonc", '{"theme": "kept", "nonsense": 1, "model": 7}')
    (shop.directory / ".opencode").mkdir()
    (shop.directory / ".opencode/opencode.json").write_bytes(b"\xff\xfe")
    assert service.config(alice, shop).shown() == {"theme": "kept"}
    told = {file.name: [str(fault) for fault in file.faults] for file in service.written(alice, shop).files}
    assert told["opencode.json"][0].startswith("line 1, column 11")
    assert told["opencode.jsonc"] == [
        "line 1, column 19: There is no key nonsense.",
        "line 1, column 34: model: Input should be a valid string.",
    ]
    assert told[".opencode/opencode.json"] == ["It is not UTF-8 text."]
