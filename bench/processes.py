"""`python -m bench.processes [BASE_URL] [--plain]`: a process from its start to its end, over HTTP.

Without BASE_URL a server of our own, with `--plain` on a machine without a sandbox. A bearer token is taken from
TOKEN. CodeBuddy's own server answers the same requests.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from tests.running import TOKEN, Running

START = "/api/v1/process/start"
TRUE = json.dumps({"process": {"cmd": "true"}})


def main() -> None:
    """Measure, and print a line for each figure."""
    parser = argparse.ArgumentParser(prog="python -m bench.processes", description=__doc__)
    parser.add_argument("base", nargs="?", metavar="BASE_URL")
    parser.add_argument("--plain", action="store_true", help="our own server without a sandbox")
    parser.add_argument("--count", type=int, default=200)
    given = parser.parse_args()
    if given.base:
        measure(given.base, os.environ.get("TOKEN", ""), given.count)
        return
    with tempfile.TemporaryDirectory(prefix="bench.") as base:
        project = Path(base).resolve() / "project"
        project.mkdir()
        running = Running(Path(base) / "data", project)
        running.module = "tests.unwalled" if given.plain else "app"
        with running:
            measure(running.url, TOKEN, given.count)


def measure(url: str, token: str, count: int) -> None:
    """Both ways to start one, each `count` times after some to warm up."""
    address = urlsplit(url)
    headers = {"Content-Type": "application/json", "X-CodeBuddy-Request": "1"}
    headers |= {"Authorization": f"Bearer {token}"} if token else {}
    host, port = address.hostname or "127.0.0.1", address.port or 80

    def by_stream() -> None:
        connection = http.client.HTTPConnection(host, port, timeout=10)
        connection.request("POST", START, TRUE, {**headers, "Accept": "text/event-stream"})
        for line in connection.getresponse():
            if line.startswith(b"event: end"):
                break
        connection.close()

    kept = http.client.HTTPConnection(host, port, timeout=10)

    def by_json() -> None:
        kept.request("POST", START, TRUE, headers)
        answer = kept.getresponse()
        raw = answer.read()
        if answer.status != 202:
            raise SystemExit(f"{answer.status}: {raw[:200]!r}")

    tell("`true` without a server, to compare", lambda: subprocess.run(["true"], check=True), count)
    tell("start of `true` to its end, by stream", by_stream, count)
    tell("start of `true`, by JSON", by_json, min(count, 100))
    kept.close()


def tell(name: str, work: Callable[[], None], count: int) -> None:
    """Time the work, and print p50 and p95 in ms."""
    for _ in range(10):
        work()
    times = []
    for _ in range(count):
        began = time.perf_counter()
        work()
        times.append((time.perf_counter() - began) * 1000)
        time.sleep(0.005)  # what it leaves to do is not the next one's
    times.sort()
    print(f"{name}: p50 {statistics.median(times):.2f} ms, p95 {times[int(len(times) * 0.95)]:.2f} ms ({count} times)")


if __name__ == "__main__":
    main()
