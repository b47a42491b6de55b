"""The shell that is kept ready: a command made of it is the same as one that was started."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import replace

import pytest

from app import config
from app.config import Limits
from app.processes import child, orphans, spare
from tests.processes.conftest import World

SELF = """
import json, os, resource, sys
print(json.dumps({
    "pid": os.getpid(), "argv": sys.argv[1:], "cwd": os.getcwd(), "env": dict(os.environ), "leads": os.getsid(0),
    "open": sorted(int(n) for n in os.listdir("/proc/self/fd"))[:-1], "files": resource.getrlimit(resource.RLIMIT_NOFILE),
    "core": resource.getrlimit(resource.RLIMIT_CORE), "umask": os.umask(0),
    "ignored": [line for line in open("/proc/self/status") if line.startswith(("SigIgn", "SigBlk"))],
}))
"""


@pytest.fixture
def waiting(world: World) -> spare.Spare:
    """The shell that becomes the next command."""
    child._spawner.submit(spare.keep, child._limiting).result()
    assert len(spare._waiting) == spare.KEPT
    return spare._waiting[0]


def told(world: World, *words: str, env: dict[str, str] | None = None) -> dict[str, object]:
    """What a command outside the sandbox says of itself."""
    done = world.run("python3", "-I", "-c", SELF, *words, env=env, sandbox=False)
    assert done.exit_code == 0, done.output
    return dict(json.loads(done.output))


def test_a_command_made_of_it_is_as_one_that_was_started(world: World) -> None:
    words = ["$(id)", "a b", "-x", "'\"", "line\nbreak", "*", "", "ü", "\\", "`id`"]
    env = {"A": "it's $HOME\n`x`\\", "LC_ALL": "C.UTF-8", "EMPTY": ""}
    child.drop_spare()
    started = told(world, *words, env=env)
    child._spawner.submit(spare.keep, child._limiting).result()
    pid = spare._waiting[0].popen.pid
    made = told(world, *words, env=env)
    assert made["pid"] == made["leads"] == pid
    assert started["pid"] == started["leads"]
    for one in (started, made):
        assert one["argv"] == words
        assert one.pop("pid") == one.pop("leads")
        assert one["env"].pop(orphans.VARIABLE)  # type: ignore[attr-defined]
    assert made == started


def test_it_reads_what_it_is_given_and_nothing_else(world: World, waiting: spare.Spare) -> None:
    assert world.run("cat", stdin=b"given\n", sandbox=False).output == "given\n"
    assert world.run("cat", sandbox=False).output == ""


@pytest.mark.parametrize("name", ["IFS", "odd-name", "PWD", "PPID", orphans.VARIABLE])
def test_what_a_shell_could_not_pass_on_is_started_the_ordinary_way(
    world: World, waiting: spare.Spare, name: str
) -> None:
    made = told(world, env={name: "1"})
    assert made["pid"] != waiting.popen.pid
    assert dict(made["env"])[orphans.VARIABLE].startswith(orphans._own())  # type: ignore[call-overload]
    assert waiting in spare._waiting


def test_a_long_command_is_started_the_ordinary_way(world: World, waiting: spare.Spare) -> None:
    assert told(world, "x" * spare.MOST)["pid"] != waiting.popen.pid


def test_one_that_was_killed_is_done_without(world: World, waiting: spare.Spare) -> None:
    os.kill(waiting.popen.pid, signal.SIGKILL)
    os.waitid(os.P_PID, waiting.popen.pid, os.WEXITED | os.WNOWAIT)
    assert world.sh("echo done", sandbox=False).output == "done\n"


def test_one_of_other_limits_is_done_without(world: World, waiting: spare.Spare) -> None:
    config.use(replace(config.current(), limits=Limits(files=48)))
    made = told(world)
    assert made["pid"] != waiting.popen.pid
    assert made["files"] == [48, 48]
    assert waiting.popen.returncode is not None


def test_it_ends_when_nobody_holds_its_pipe(world: World, waiting: spare.Spare) -> None:
    spare._waiting.remove(waiting)
    os.close(waiting.control)
    assert waiting.popen.wait(10) == 0
    for pipe in (waiting.popen.stdin, waiting.popen.stdout, waiting.popen.stderr):
        assert pipe is not None
        pipe.close()
    assert waiting.group is None or waiting.group.remove()


def test_no_name_of_a_pipe_is_left(world: World, waiting: spare.Spare) -> None:
    folder = world.data / spare.FOLDER
    assert list(folder.iterdir()) == []
    gone, kept = folder / "abc.1.0.7", folder / orphans.mark()
    gone.touch()
    kept.touch()
    spare.sweep()
    assert list(folder.iterdir()) == [kept]
