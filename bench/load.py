"""The load client, a process of its own: it reads an order from stdin and prints what it saw."""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench import tree
from bench.figure import Failed
from bench.targets import Target

WARM_UP = 1.0
WIDEST_HEAD = 1 << 16


@dataclass(frozen=True)
class Seen:
    """Answers per second, p50, p95 and p99 in ms, how many there were in all, and the client's share of a core."""

    rate: float
    p50: float
    p95: float
    p99: float
    answers: int
    client: float

    @property
    def note(self) -> str:
        """A warning where the client, not the server, was the limit."""
        return "the client was the limit" if self.client > 0.85 else ""


def get(target: Target, path: str, connections: int, seconds: float, body: Any = None) -> Seen:
    """Ask one path again and again over kept connections, by POST with a body; any status but 200 raises Failed."""
    host, port = target.address
    order = {
        "host": host,
        "port": port,
        "path": path,
        "headers": target.headers,
        "body": body,
        "connections": connections,
        "seconds": seconds,
    }
    done = subprocess.run(
        [sys.executable, "-m", "bench.load"],
        input=json.dumps(order).encode(),
        capture_output=True,
        cwd=Path(__file__).parent.parent,
        timeout=WARM_UP + seconds + 20,
        check=False,
    )
    if done.returncode:
        raise Failed(f"load on {path}: {done.stderr.decode()[-200:].strip()}")
    return Seen(**json.loads(done.stdout))


def get_counted(
    target: Target, path: str, connections: int, seconds: float, body: Any = None
) -> tuple[Seen, float | None]:
    """The same, and the server's CPU per answer in ms; None where its processes are out of sight."""
    try:
        pid = target.pid
    except Failed:
        return get(target, path, connections, seconds, body), None
    before = tree.cpu_seconds(pid)
    seen = get(target, path, connections, seconds, body)
    return seen, (tree.cpu_seconds(pid) - before) / seen.answers * 1000


async def _load(order: dict[str, Any]) -> Seen:
    body = b"" if order["body"] is None else json.dumps(order["body"]).encode()
    lines = [
        f"{'POST' if body else 'GET'} {order['path']} HTTP/1.1",
        f"Host: {order['host']}:{order['port']}",
        *(f"{name}: {value}" for name, value in order["headers"].items()),
    ]
    lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"] if body else []
    request = ("\r\n".join(lines) + "\r\n\r\n").encode() + body
    start = time.perf_counter() + WARM_UP
    end = start + float(order["seconds"])
    cpu = time.process_time()
    many = await asyncio.gather(
        *(_ask(order["host"], order["port"], request, start, end) for _ in range(order["connections"]))
    )
    client = (time.process_time() - cpu) / (end - start + WARM_UP)
    times = sorted(spent for one, _ in many for spent in one)
    if not times:
        raise Failed("no answer in time")
    p95, p99 = (times[min(len(times) - 1, int(len(times) * share))] * 1000 for share in (0.95, 0.99))
    rate = len(times) / (end - start)
    every = sum(count for _, count in many)
    return Seen(rate, statistics.median(times) * 1000, p95, p99, every, client)


async def _ask(host: str, port: int, request: bytes, start: float, end: float) -> tuple[list[float], int]:
    """Keep asking until the end; gives the seconds of answers between start and end, and the count of all."""
    times: list[float] = []
    count = 0
    reader, writer = await asyncio.open_connection(host, port, limit=WIDEST_HEAD)
    try:
        while (began := time.perf_counter()) < end:
            writer.write(request)
            try:
                await asyncio.wait_for(_answer(reader), end + 15 - began)
            except TimeoutError:
                return times, count
            now = time.perf_counter()
            count += 1
            if began >= start and now <= end:
                times.append(now - began)
    finally:
        writer.close()
    return times, count


async def _answer(reader: asyncio.StreamReader) -> None:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    if head[9:12] != b"200":
        raise Failed(head.split(b"\r\n", 1)[0].decode())
    _, found, rest = head.partition(b"\r\ncontent-length:")
    if found:
        await reader.readexactly(int(rest.split(b"\r\n", 1)[0]))
        return
    while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
        await reader.readexactly(size + 2)
    await reader.readuntil(b"\r\n")


def main() -> None:
    """Carry out the order."""
    print(json.dumps(asdict(asyncio.run(_load(json.load(sys.stdin))))))


if __name__ == "__main__":
    main()
