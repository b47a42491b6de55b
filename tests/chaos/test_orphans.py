"""No command of people outlives its server, however that ends: kill -9 or a stop, with a sandbox and without."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from app.processes import cgroups
from tests.chaos.conftest import Report
from tests.processes.test_spawn import bearers, until
from tests.running import Running

pytestmark = pytest.mark.chaos
TERMINAL = {"size": {"cols": 80, "rows": 24}}


@pytest.fixture(params=["app", "tests.unwalled"], ids=["sandboxed", "plain"])
def served(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Running]:
    """A server on an empty project, with and without a sandbox."""
    project = tmp_path.resolve() / "project"
    project.mkdir()
    running = Running(tmp_path / "data", project)
    running.module = request.param
    with running:
        yield running


def begin(served: Running, mark: str) -> int:
    """Commands of every kind, each with a daemon; how many processes bear the mark then."""
    daemon = f"(setsid bash -c '(exec -a {mark} sleep 601) & exec -a {mark} sleep 602' &)"
    for body in ({}, {"pty": TERMINAL}, {"tag": "second"}):
        script = f"trap '' TERM HUP; {daemon}; exec -a {mark} sleep 603"
        status, answer = served.call(
            "POST", "/api/v1/process/start", {"process": {"cmd": "bash", "args": ["-c", script]}, **body}
        )
        assert status == 202, answer
    # In the sandbox, bubblewrap and its own first process show the command line too.
    assert until(lambda: len([pid for pid in bearers(mark) if psutil.Process(pid).name() == "sleep"]) == 9)
    return len(bearers(mark))


def own_groups(served: Running) -> list[str]:
    """The control groups of commands of the server's process."""
    assert served.process is not None
    pids = [served.process.pid, *(one.pid for one in psutil.Process(served.process.pid).children())]
    parents = cgroups.parents_of(cgroups.ROOT)
    return [str(found) for parent in parents for pid in pids for found in parent.glob(f"{cgroups.PREFIX}{pid}.*")]


@pytest.mark.parametrize("how", ["kill", "stop"])
def test_nothing_is_left_of_commands_when_their_server_ends(served: Running, how: str, report: Report) -> None:
    mark = f"orphan-{how}-{served.port}"
    count = begin(served, mark)
    groups = own_groups(served)
    if how == "kill":
        served.kill()
    else:
        served.stop()
    began = time.monotonic()
    assert until(lambda: not bearers(mark)), bearers(mark)
    report("orphans", how=how, sandbox=served.module == "app", count=count, seconds=round(time.monotonic() - began, 2))
    if how == "kill":
        served.start()
        served.stop()
    assert [group for group in groups if Path(group).exists()] == []
