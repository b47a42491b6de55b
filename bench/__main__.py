"""`python -m bench [BASE_URL] [--workspace] [--peer NAME=BINARY]`: measure, print a table, write bench.json."""

from __future__ import annotations

import argparse
import contextlib
import http.client
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import psutil

from bench import report, targets, tree
from bench.conversation import Conversation
from bench.figure import Failed
from bench.figures import AGENT, WORKSPACE
from bench.report import Column
from bench.streams import raise_limit
from bench.targets import Target

TROUBLE = (Failed, OSError, http.client.HTTPException, subprocess.SubprocessError, psutil.Error, ValueError)


def main() -> None:
    """Measure each server in turn, so that none disturbs another."""
    given = _arguments()
    raise_limit()
    tree.share_priority()
    columns: list[Column] = []
    with tempfile.TemporaryDirectory(prefix="bench.") as base, _model() as model_url:
        for target in _targets(given, Path(base), model_url):
            with target:
                columns.append(_measure(target, WORKSPACE if given.workspace else AGENT, given.limit))
    print(report.table(columns))
    report.save(columns, given.out)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "base",
        nargs="?",
        metavar="BASE_URL",
        help="a server that runs already (its bearer token in TOKEN); one of our own without",
    )
    parser.add_argument("--model", help="provider/model for the turns on BASE_URL; its default without")
    parser.add_argument(
        "--peer",
        action="append",
        default=[],
        metavar="NAME=BINARY",
        help="an OpenCode binary (a CodeBuddy one with --workspace) to measure beside it; may be given again",
    )
    parser.add_argument("--workspace", action="store_true", help="files, terminals and processes instead of agents")
    parser.add_argument("--directory", type=Path, help="where BASE_URL works, for the search of files")
    parser.add_argument("--limit", type=float, default=20.0, help="seconds for one figure of one server (20)")
    parser.add_argument("--out", type=Path, default=Path("bench.json"), help="where the JSON goes (bench.json)")
    return parser.parse_args()


def _targets(given: argparse.Namespace, base: Path, model_url: str) -> Iterator[Target]:
    """One after the other: a target is made when its turn comes."""
    if given.base:
        yield targets.running(given.base, given.model, given.directory)
    else:
        yield targets.ours(base, model_url)
        if given.workspace:
            yield targets.unwalled(base, model_url)
    for word in given.peer:
        name, _, binary = word.partition("=")
        path = Path(binary).expanduser().absolute()
        yield targets.codebuddy(base, name, path) if given.workspace else targets.peer(base, name, path, model_url)


@contextlib.contextmanager
def _model() -> Iterator[str]:
    """The scripted model server in a process of its own; gives its base URL."""
    command = [sys.executable, "-m", "tests.model_server"]
    with subprocess.Popen(command, cwd=targets.ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


def _measure(target: Target, figures: tuple[ModuleType, ...], limit: float) -> Column:
    """Every figure of a server; one that fails leaves a reason and does not stop the others."""
    column, talk, load = Column(target.name), Conversation(target), os.getloadavg()[0]
    for figure in figures:
        name = figure.__name__.rpartition(".")[2]
        print(f"{target.name}: {name}", file=sys.stderr)
        try:
            column.figures += figure.measure(talk, limit)
        except TROUBLE as trouble:
            column.failures[name] = f"{type(trouble).__name__}: {trouble} {target.ended}"
    column.load = (load, os.getloadavg()[0])
    return column


if __name__ == "__main__":
    main()
