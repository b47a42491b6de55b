"""What a command may use: time, memory, processes, open files; and what the report says of each."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from app import config
from app.config import Config, Limits
from app.errors import Invalid
from app.processes import cgroups, child, limits, orphans
from tests.processes.conftest import World

FORKS = """
import os, signal, time
pids = []
try:
    for _ in range(200):
        pid = os.fork()
        if pid == 0:
            time.sleep(30)
        pids.append(pid)
except OSError as refused:
    print("refused")
print(len(pids))
for pid in pids:
    os.kill(pid, signal.SIGKILL)
"""
GREEDY = """
try:
    held = [bytearray(1 << 20) for _ in range(400)]
except MemoryError:
    raise SystemExit(3)
print("had it all")
"""
# Two processes that each stay below the limit, and are over it together.
TOGETHER = """
import os
child = os.fork()
held = [bytearray(b"x") * (1 << 20) for _ in range(110)]
if child == 0:
    os._exit(0)
_, status = os.waitpid(child, 0)
print("had it all" if status == 0 else "killed")
"""


@pytest.fixture(params=["grouped", "single"])
def grouped(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether commands get a control group of their own; on a machine that allows none, both are the same."""
    if request.param == "single":
        monkeypatch.setattr(cgroups, "parents_of", lambda _root: ())
    return bool(cgroups.parents_of(cgroups.ROOT))


@pytest.fixture
def limit(world: World) -> None:
    """Small limits."""
    given = replace(config.current(), limits=Limits(memory=150, processes=40, files=32))
    config.use(given)


def groups() -> list[Path]:
    """The control groups of this process's commands."""
    name = f"{cgroups.PREFIX}{orphans.server()}-*"
    return [path for parent in cgroups.parents_of(cgroups.ROOT) for path in parent.glob(name)]


def test_a_command_ends_at_the_limit_however_long_it_asks_for(world: World) -> None:
    config.use(replace(config.current(), limits=Limits(seconds=1)))
    for timeout in (None, 60):
        ended = world.run("sleep", "30", timeout=timeout)
        assert ended.timed_out
        assert ended.duration < 20


def test_a_command_has_so_many_processes(world: World, limit: None, grouped: bool) -> None:
    said = world.python(FORKS).output.split()
    if not next(one.holds for one in limits.report() if one.name == "processes"):
        assert os.geteuid() == 0  # whom Linux exempts
        assert not grouped
        return
    assert said[0] == "refused"
    assert 20 <= int(said[1]) <= 40


def test_a_command_has_so_much_memory(world: World, limit: None, grouped: bool) -> None:
    ended = world.python(GREEDY)
    assert ended.exit_code == (137 if grouped else 3)
    assert "had it all" not in ended.output
    assert ("a command may use 150 MiB of memory" in ended.output) == grouped


def test_a_group_counts_all_of_a_command(world: World, limit: None) -> None:
    if cgroups.parents_of(cgroups.ROOT):
        ended = world.python(TOGETHER)
        assert "had it all" not in ended.output
        assert "a command may use 150 MiB of memory" in ended.output
    else:
        assert [one.holds for one in limits.report() if one.name == "memory"] == [False]


def test_a_command_without_the_sandbox_has_the_same_memory(world: World, limit: None, grouped: bool) -> None:
    assert "had it all" not in world.python(GREEDY, sandbox=False).output


def test_a_process_has_so_many_files(world: World, limit: None) -> None:
    assert world.sh("ulimit -n").output == "32\n"
    assert world.sh("ulimit -n", sandbox=False).output == "32\n"


def test_a_group_goes_with_its_command(world: World) -> None:
    world.sh("true")
    world.sh("sleep 30 & exit 0", sandbox=False)
    world.run("no-such-command")
    child.drop_spare()
    cgroups.make(orphans.server())  # whoever comes next takes away what was still busy
    assert len(groups()) == len(cgroups.parents_of(cgroups.ROOT))
    cgroups.sweep(lambda server: server == orphans.server())
    assert groups() == []


def test_groups_of_a_server_that_is_gone_are_swept(world: World) -> None:
    made = cgroups.make("1.1")
    kept = cgroups.make(orphans.server())
    orphans.sweep()
    for group, stays in ((made, False), (kept, True)):
        assert group is None or all(directory.exists() is stays for directory in group.directories)
    if kept is not None:
        kept.end()


@pytest.mark.parametrize(
    ("own", "handed_on", "found"),
    [
        ([("", "/unit/server")], "unit", ["unit"]),
        ([("", "/unit")], "unit", ["unit"]),
        ([("", "/unit/server")], "", []),
        ([("memory", "/a"), ("pids", "/b")], "", ["memory/a", "pids/b"]),
        ([("memory", "/elsewhere"), ("pids", "/b")], "", ["memory", "pids/b"]),
        ([], "", []),
    ],
    ids=["delegated", "own", "not delegated", "first version", "container", "none"],
)
def test_it_finds_where_groups_may_be_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own: list[tuple[str, str]], handed_on: str, found: list[str]
) -> None:
    for place in ("unit/server", "memory/a", "pids/b"):
        (tmp_path / place).mkdir(parents=True)
    if handed_on:
        (tmp_path / handed_on / "cgroup.subtree_control").write_text("cpu memory pids\n")
    monkeypatch.setattr(cgroups, "_own", lambda: iter(own))
    assert cgroups.parents_of(tmp_path) == tuple(tmp_path / place for place in found)
    cgroups.parents_of.cache_clear()


def test_the_report_names_what_does_not_hold(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroups, "parents_of", lambda _root: ())
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    held = {one.name: one for one in limits.report()}
    assert held["time"].wanted == "600 s for a command"
    assert held["processes"].holds
    assert not held["memory"].holds
    assert "each process by itself" in held["memory"].how
    assert not held["processor"].holds
    assert held["runs"].wanted == "4 of a person, 50 in all"
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert "root" in next(one.how for one in limits.report() if one.name == "processes" and not one.holds)
    monkeypatch.setattr(child, "_tool", lambda _name: None)
    held = {one.name: one for one in limits.report()}
    assert [name for name in ("processes", "memory", "open files") if held[name].holds] == []


def test_limits_are_read_by_name() -> None:
    given = Config.from_environ({"SIGNALCABIN_LIMITS": "seconds=1200, runs_per_user=8"}).limits
    assert given == Limits(seconds=1200, runs_per_user=8)
    for wrong in ("seconds", "seconds=x", "nothing=1", "memory=0", "disk=-1"):
        with pytest.raises(Invalid, match="LIMITS"):
            Config.from_environ({"SIGNALCABIN_LIMITS": wrong})
