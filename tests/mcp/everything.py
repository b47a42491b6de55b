"""The published server of everything, laid into a project so that the sandbox shows it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.running import free_port

PACKAGE = "@modelcontextprotocol/server-everything"
MODULES = Path(__file__).parent.parent / "clients" / "node_modules"
MAIN = f"node_modules/{PACKAGE}/dist/index.js"


def lay(root: Path) -> tuple[str, ...]:
    """Put the package and all it needs into a directory; the command that starts it there."""
    if not (MODULES / PACKAGE).is_dir():
        pytest.fail(f"{PACKAGE} is missing: run ./setup.sh, or npm ci in tests/clients", pytrace=False)
    for place in _needed():
        shutil.copytree(MODULES.parent / place, root / place, copy_function=_link, dirs_exist_ok=True)
    return (_node(root), MAIN, "stdio")


@contextmanager
def listening(root: Path) -> Iterator[str]:
    """It runs and speaks streamable HTTP; gives host and port."""
    command = lay(root)
    port = free_port()
    environ = {"PATH": os.environ["PATH"], "PORT": str(port), "HOME": str(root)}
    with subprocess.Popen(
        [*command[:2], "streamableHttp"], cwd=root, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if b"listening" in line:
                break
        else:
            pytest.fail(f"{PACKAGE} did not begin")
        yield f"127.0.0.1:{port}"
        process.terminate()
        process.communicate()


def _needed() -> set[str]:
    """The outermost places of the package and of all it needs, by the lock; what lies in them comes along."""
    packages = json.loads((MODULES.parent / "package-lock.json").read_text())["packages"]
    found: set[str] = set()
    waiting = [f"node_modules/{PACKAGE}"]
    while waiting:
        place = waiting.pop()
        if place not in found:
            found.add(place)
            about = packages[place]
            needs = [*about.get("dependencies", {}), *about.get("peerDependencies", {})]
            waiting += [one for name in needs if (one := _resolved(packages, place, name))]
    return {place for place in found if place.count("node_modules/") == 1}


def _resolved(packages: dict[str, Any], place: str, name: str) -> str:
    """Where a package finds another one: the nearest of that name, "" for one that it can do without."""
    while True:
        near = f"{place}/node_modules/{name}".lstrip("/")
        if near in packages or not place:
            return near if near in packages else ""
        place = place.rpartition("node_modules/")[0].rstrip("/")


def _node(root: Path) -> str:
    """Node as the sandbox sees it: the system's, or a copy of the one that is installed beside us."""
    system = shutil.which("node", path="/usr/local/bin:/usr/bin:/bin")
    if system is not None:
        return system
    ours = shutil.which("node", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if ours is None:
        pytest.fail("node is missing: run ./setup.sh", pytrace=False)
    _link(os.path.realpath(ours), str(root / "node"))
    return str(root / "node")


def _link(source: str, target: str) -> str:
    """A second name of a file where that can be, else a copy."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
    return target
