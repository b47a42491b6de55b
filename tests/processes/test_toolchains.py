"""What commands see of PATH: commands, whatever way leads to them, and nothing that people keep for themselves."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.processes import sandbox, toolchains
from tests.processes.conftest import World

KINDS = pytest.mark.parametrize("machine", ["/tmp", "/var/tmp"], ids=["under-tmp", "elsewhere"], indirect=True)


@pytest.fixture
def machine(request: pytest.FixtureRequest) -> Iterator[Path]:
    """A directory of this machine that isn't the system's; under /tmp the sandbox has a directory of its own."""
    with tempfile.TemporaryDirectory(dir=getattr(request, "param", "/var/tmp")) as name:
        yield Path(name).resolve()


@pytest.fixture
def commands(machine: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory of commands that PATH begins with."""
    directory = machine / "commands"
    directory.mkdir()
    monkeypatch.setenv("PATH", f"{directory}:{os.environ['PATH']}")
    return directory


def script(path: Path, line: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{line}\n")
    path.chmod(0o755)
    return path


@KINDS
def test_it_runs_commands_of_path_wherever_it_lies(world: World, commands: Path) -> None:
    script(commands / "greet", "echo hello")
    assert world.sh("greet").output == "hello\n"
    assert world.run("greet").output == "hello\n"


@KINDS
def test_it_lets_nobody_change_commands(world: World, commands: Path) -> None:
    script(commands / "greet", "echo hello")
    for attempt in ("echo x > greet", "touch new", "rm greet", "mv ../commands ../other", "rm -rf ../commands"):
        assert world.sh(f"cd {commands} && {attempt}").exit_code != 0
    assert world.sh("greet").output == "hello\n"


@KINDS
def test_it_follows_a_link_to_one_command_and_shows_nothing_beside_it(world: World, commands: Path) -> None:
    tool = script(commands.parent / "work" / "deploy", "echo deployed")
    (tool.parent / "notes").write_text("secret")
    (commands / "deploy").symlink_to(tool)
    assert world.sh("deploy").output == "deployed\n"
    assert world.run("ls", str(tool.parent)).output == "deploy\n"


@KINDS
def test_it_follows_a_link_to_an_installation(world: World, commands: Path) -> None:
    tool = script(commands.parent / "kit-1.2" / "bin" / "kit", 'cat "$(dirname "$(realpath "$0")")/../lib/word"')
    (tool.parents[1] / "lib").mkdir()
    (tool.parents[1] / "lib" / "word").write_text("of the library")
    (commands / "kit").symlink_to(f"../{tool.relative_to(commands.parent)}")
    assert world.sh("kit").output == "of the library"


def test_it_follows_links_to_links(world: World, commands: Path) -> None:
    tool = script(commands.parent / "kits" / "1.2" / "kit", "echo hello")
    (commands.parent / "kits" / "current").symlink_to("1.2")
    (commands.parent / "hop").symlink_to(commands.parent / "kits" / "current" / "kit")
    (commands / "kit").symlink_to("../hop")
    assert world.sh("kit").output == "hello\n"
    assert world.sh("realpath $(command -v kit)").output == f"{tool}\n"


@pytest.mark.parametrize("beside", [".git", ".env", "config"])
def test_it_takes_no_place_of_work_for_an_installation(world: World, commands: Path, beside: str) -> None:
    tool = script(commands.parent / "project" / "bin" / "deploy", "echo deployed")
    (tool.parents[1] / "lib").mkdir()
    (tool.parents[1] / beside).mkdir()
    (commands / "deploy").symlink_to(tool)
    assert world.sh("deploy").output == "deployed\n"
    assert world.run("ls", "-A", str(tool.parents[1])).output == "bin\n"


@KINDS
def test_it_covers_what_its_owner_keeps_beside_commands(world: World, commands: Path) -> None:
    script(commands / "greet", "echo hello")
    (commands / "token").write_text("secret")
    (commands / "token").chmod(0o600)
    (commands / "keys").mkdir(mode=0o700)
    (commands / "keys" / "key").write_text("secret")
    (commands / ".env").write_text("secret")
    (commands / ".git").mkdir()
    (commands / ".git" / "config").write_text("secret")
    done = world.sh(f"cd {commands}; greet; cat token keys/key .env .git/config; grep -r secret .")
    assert "hello" in done.output
    assert "secret" not in done.output


def test_it_shows_no_key_behind_a_link(world: World, commands: Path) -> None:
    key = commands.parent / "keys" / "id"
    key.parent.mkdir()
    key.write_text("secret")
    (commands / "key").symlink_to(key)
    (commands / "keys").symlink_to(key.parent)
    assert "secret" not in world.sh(f"cat {commands}/key {commands}/keys/id {key}").output


def test_it_hides_a_directory_with_many_private_files(world: World, commands: Path) -> None:
    script(commands / "greet", "echo hello")
    for number in range(toolchains.MOST_COVERED + 1):
        (commands / f".note{number}").touch()
    assert "is hidden from the sandbox: it holds private files." in world.sh("greet").output


@KINDS
def test_it_says_why_a_command_is_hidden(world: World, commands: Path) -> None:
    script(commands / "greet", "echo hello")
    commands.chmod(0o777)
    heard: list[str] = []
    done = world.sh("greet", on_output=lambda text, _stream: heard.append(text))
    why = f"{commands}/greet is hidden from the sandbox: anyone may write there.\n"
    assert done.exit_code == 127
    assert done.output == "".join(heard)
    assert done.output.endswith(why)
    assert done.stderr.endswith(why)
    assert "hidden" not in world.sh("no-such-command").output
    assert "hidden" not in world.sh("greet", sandbox=False).output


def test_it_says_why_a_link_is_not_followed(world: World, commands: Path) -> None:
    script(commands.parent / "greet", "echo hello").chmod(0o777)
    (commands / "greet").symlink_to("../greet")
    assert f"{commands}/greet is hidden from the sandbox: anyone may write there." in world.sh("greet").output


def test_it_hides_commands_among_our_own_data(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    script(world.data / "bin" / "greet", "echo hello")
    script(world.data.parent / "greet-all", "echo hello")
    monkeypatch.setenv("PATH", f"{world.data}/bin:{world.data.parent}:{os.environ['PATH']}")
    for name in ("greet", "greet-all"):
        assert "is hidden from the sandbox: our own data lies there." in world.sh(name).output
    assert world.run("cat", str(world.data / "master.key")).exit_code != 0


def test_it_hides_a_directory_of_path_that_holds_the_workspace(world: World, commands: Path) -> None:
    script(commands / "greet", "echo hello")
    (commands / "neighbour").mkdir()
    (commands / "mine").mkdir()
    within = World(world.data, commands / "mine", world.private)
    assert "is hidden from the sandbox: a workspace lies there." in within.sh("greet").output
    assert within.run("ls", str(commands)).output == "mine\n"
    assert world.sh("greet").output == "hello\n"


def test_it_lets_a_workspace_change_no_command_of_path(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    script(world.workspace / "bin" / "greet", "echo hello")
    (world.workspace / "lib").mkdir()  # as in an installation, which is still a workspace
    monkeypatch.setenv("PATH", f"{world.workspace}:{world.workspace}/bin:{os.environ['PATH']}")
    assert world.sh("greet").output == "hello\n"
    assert world.sh("echo x > bin/greet || mv bin other || touch bin/x").exit_code != 0
    world.sh("printf '#!/bin/sh\\necho planted\\n' > ls; chmod +x ls")
    assert "planted" not in world.sh("ls").output


@pytest.mark.parametrize("machine", ["/tmp"], indirect=True)
def test_it_runs_nothing_that_agents_put_where_path_was_hidden(world: World, commands: Path) -> None:
    commands.chmod(0o777)
    planted = f"{commands}/ls"
    world.sh(f"mkdir -p {commands}; printf '#!/bin/sh\\necho planted\\n' > {planted}; chmod +x {planted}")
    assert world.run(planted).output == "planted\n"
    assert world.run("ls", str(world.workspace)).output == ""
    assert str(commands) not in world.sh("echo $PATH").output


@pytest.mark.parametrize("machine", ["/tmp"], indirect=True)
def test_it_makes_nothing_outside_behind_a_link_that_agents_planted(
    world: World, machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = world.data.parent / "outside"
    outside.mkdir()
    world.sh(f"ln -s /oldroot{outside} {machine}")
    script(machine / "deep" / "commands" / "greet", "echo hello")
    monkeypatch.setenv("PATH", f"{machine}/deep/commands:{os.environ['PATH']}")
    world.sh("greet")
    assert not list(outside.iterdir())
    other = World(world.data, world.workspace, world.data / "private" / "prj_2")
    assert other.sh("greet").output == "hello\n"


def test_it_leaves_the_name_of_a_person_called_user(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "HOME_ALIAS", world.workspace.parent)
    deep = world.workspace / "deep"
    deep.mkdir()
    assert world.run("pwd", cwd=deep).output == f"{deep}\n"


def test_it_does_without_directories_that_are_not_there(world: World) -> None:
    found = toolchains.survey("/no/such/place:relative::/etc:/usr/bin", world.data)
    assert found.path([world.workspace]) == "/usr/bin"
