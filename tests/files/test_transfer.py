"""Files go through a running server: paced, all or nothing, and past no wall."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import resource
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from werkzeug.test import EnvironBuilder, run_wsgi_app

from app.dialects.mount import Cabin
from app.files import beneath
from app.files.paths import TEMPORARY
from tests.conftest import Caller
from tests.running import TOKEN, Running
from tests.visitor import until

MIB = 1 << 20
READS = 10_000
WAITS = (10.0, 2.0, 1.0)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server that works in a folder of its own, with little patience for those who don't read."""
    base = tmp_path_factory.mktemp("transfer")
    (base / "shop").mkdir()
    waits = ",".join(map(str, WAITS))
    with Running(base / "data", base / "shop", CLIENT_WAITS=waits) as running:
        yield running


@pytest.fixture
def shop(served: Running) -> Path:
    """The folder."""
    return served.data_dir.parent / "shop"


@pytest.fixture
def worker(served: Running) -> psutil.Process:
    """The process that answers."""
    assert served.process is not None
    [child] = psutil.Process(served.process.pid).children()
    return child


@contextlib.contextmanager
def asked(running: Running, method: str, path: str, *more: str, small: bool = False) -> Iterator[socket.socket]:
    """A connection on which a request's header has been sent; a small one takes little before it is read."""
    with socket.socket() as raw:
        raw.settimeout(30)
        if small:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32768)
        raw.connect(("127.0.0.1", running.port))
        lines = [f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{running.port}", f"Authorization: Bearer {TOKEN}"]
        raw.sendall(("\r\n".join([*lines, *more]) + "\r\n\r\n").encode())
        yield raw


def answer_of(raw: socket.socket) -> http.client.HTTPResponse:
    """The answer that comes next."""
    answer = http.client.HTTPResponse(raw)
    answer.begin()
    return answer


def send(running: Running, path: str, size: int) -> int:
    """Upload so many bytes, a MiB at a time; the status."""
    with asked(running, "POST", f"/api/v1/files/upload?path={path}", f"Content-Length: {size}") as raw:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for _ in range(size // MIB):
                raw.sendall(bytes(MIB))
        return answer_of(raw).status


def drafts(shop: Path) -> list[str]:
    return [path.name for path in shop.iterdir() if path.name.startswith(TEMPORARY)]


def test_a_large_upload_is_never_whole_in_memory(served: Running, shop: Path, worker: psutil.Process) -> None:
    assert send(served, "warm.bin", 4 * MIB) == 200
    Path(f"/proc/{worker.pid}/clear_refs").write_text("5")  # the peak is counted from now on
    before = worker.memory_info().rss
    assert send(served, "large.bin", 100 * MIB) == 200
    status = Path(f"/proc/{worker.pid}/status").read_text()
    peak = next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM"))
    assert peak - before < 16 * MIB
    assert (shop / "large.bin").stat().st_size == 100 * MIB


@pytest.mark.parametrize("hangs_up", [False, True], ids=["says no more", "hangs up"])
def test_an_upload_that_breaks_off_leaves_nothing(served: Running, shop: Path, hangs_up: bool) -> None:
    (shop / "kept.txt").write_text("kept")
    path = "/api/v1/files/upload?path=kept.txt"
    with asked(served, "POST", path, f"Content-Length: {8 * MIB}") as raw:
        raw.sendall(bytes(4 * MIB))
        assert until(lambda: drafts(shop))
        if hangs_up:
            raw.close()
        else:
            raw.shutdown(socket.SHUT_WR)
            assert answer_of(raw).status == 400
    until(lambda: not drafts(shop))
    assert (shop / "kept.txt").read_text() == "kept"


def test_an_upload_that_stalls_is_given_up(served: Running, shop: Path) -> None:
    with asked(served, "POST", "/api/v1/files/upload?path=stalled", "Content-Length: 1000000") as raw:
        raw.sendall(b"some")
        assert answer_of(raw).status == 408
    assert (drafts(shop), (shop / "stalled").exists()) == ([], False)


def test_a_body_of_unknown_length_comes_in_chunks(served: Running, shop: Path) -> None:
    path, chunked = "/api/v1/files/upload?path=chunked.bin", "Transfer-Encoding: chunked"
    piece = os.urandom(100_000)
    with asked(served, "POST", path, chunked) as raw:
        for _ in range(30):
            raw.sendall(b"%x\r\n%b\r\n" % (len(piece), piece))
        raw.sendall(b"0\r\n\r\n")
        assert answer_of(raw).status == 200
    assert (shop / "chunked.bin").read_bytes() == piece * 30
    with asked(served, "POST", path, chunked) as raw:
        raw.sendall(b"zz\r\n")
        assert answer_of(raw).status == 400
    assert (shop / "chunked.bin").stat().st_size == 3_000_000


def test_a_connection_goes_on_after_an_upload(served: Running, shop: Path) -> None:
    kept = http.client.HTTPConnection("127.0.0.1", served.port, timeout=30)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    for number in range(3):
        kept.request("POST", f"/api/v1/files/upload?path=k{number}", os.urandom(300_000 + number), headers)
        assert json.load(kept.getresponse())["data"]["entries"][0]["size"] == 300_000 + number
        kept.request("GET", f"/api/v1/files/download?path=k{number}", headers={**headers, "Range": "bytes=0-99999"})
        assert kept.getresponse().read() == (shop / f"k{number}").read_bytes()[:100_000]
    kept.close()


def test_a_full_disk_is_told_and_nothing_is_left(served: Running, shop: Path, worker: psutil.Process) -> None:
    (shop / "kept.txt").write_text("kept")
    before = worker.rlimit(resource.RLIMIT_FSIZE)
    worker.rlimit(resource.RLIMIT_FSIZE, (30 * MIB, before[1]))
    try:
        assert send(served, "kept.txt", 40 * MIB) == 507
    finally:
        worker.rlimit(resource.RLIMIT_FSIZE, before)
    assert (drafts(shop), (shop / "kept.txt").read_text()) == ([], "kept")


class TestThePorter:
    @pytest.fixture
    def content(self, shop: Path) -> bytes:
        content = os.urandom(MIB) * 24
        (shop / "big.bin").write_bytes(content)
        return content

    def test_it_sends_the_file_and_its_ranges(self, served: Running, content: bytes) -> None:
        path = "/api/v1/files/download?path=big.bin"
        for asks, expected in (
            ((), content),
            (("Range: bytes=1000-",), content[1000:]),
            (("Range: bytes=5-5000004",), content[5:5000005]),
        ):
            with asked(served, "GET", path, *asks) as raw:
                raw.shutdown(socket.SHUT_WR)  # one that has said all still gets its answer
                answer = answer_of(raw)
                assert answer.read() == expected
                assert answer.headers["Content-Security-Policy"] == "sandbox; default-src 'none'"
        with asked(served, "GET", path, "Range: bytes=0-999999,-1000000") as raw:
            told = answer_of(raw).read()
            assert content[:1000000] in told
            assert content[-1000000:] in told

    def test_those_who_do_not_read_hold_no_thread_and_are_given_up(
        self, served: Running, content: bytes, worker: psutil.Process
    ) -> None:
        threads = worker.num_threads()
        with contextlib.ExitStack() as stack:
            slow = [
                stack.enter_context(asked(served, "GET", "/api/v1/files/download?path=big.bin", small=True))
                for _ in range(30)
            ]
            assert all(raw.recv(10).startswith(b"HTTP/1.1 ") for raw in slow)
            assert worker.num_threads() < threads + 15
            with asked(served, "GET", "/api/v1/files/download?path=big.bin") as raw:
                assert len(answer_of(raw).read()) == len(content)
            until(lambda: not [file for file in worker.open_files() if file.path.endswith("big.bin")])
            assert all(0 < _rest(raw) < len(content) for raw in slow)

    def test_a_file_that_becomes_shorter_ends_the_connection(self, served: Running, content: bytes, shop: Path) -> None:
        with asked(served, "GET", "/api/v1/files/download?path=big.bin", small=True) as raw:
            answer = answer_of(raw)
            os.truncate(shop / "big.bin", 10)
            with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
                answer.read()


def _rest(raw: socket.socket) -> int:
    """How many bytes still come."""
    size = 0
    with contextlib.suppress(ConnectionResetError):
        while more := raw.recv(MIB):
            size += len(more)
    return size


FLIP = """
import os, sys
os.nice(5)
name = sys.argv[1]
print(flush=True)
while os.getppid() == int(sys.argv[2]):
    for target in ("inside", "../outside"):
        os.symlink(target, name + ".new")
        os.replace(name + ".new", name)
"""


@pytest.fixture
def flipping(work: Path) -> Iterator[Path]:
    """`flip` leads inside and outside by turns, as fast as another process can."""
    (work / "inside").mkdir()
    (work / "inside" / "secret").write_text("mine")
    (work / "flip").symlink_to("inside")
    code = [sys.executable, "-c", FLIP, str(work / "flip"), str(os.getpid())]
    with subprocess.Popen(code, stdout=subprocess.PIPE) as racer:
        assert racer.stdout is not None
        racer.stdout.readline()
        yield work
        racer.kill()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("walks", [False, True], ids=["openat2", "walk"])
def test_no_read_slips_through_while_a_link_flips(
    app: Cabin, call: Caller, flipping: Path, walks: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if walks:
        monkeypatch.setattr(beneath, "kernel_resolves", lambda: False)
    seen: Counter[tuple[int, bytes]] = Counter()
    asked = EnvironBuilder("/api/v1/files/download?path=flip/secret", headers=call.headers).get_environ()
    for _ in range(READS):
        chunks, status, _headers = run_wsgi_app(app, dict(asked))
        body = b"".join(chunks)
        seen[int(status[:3]), body if status.startswith("200") else b""] += 1
    assert set(seen) == {(200, b"mine"), (403, b"")}, seen
    assert min(seen.values()) > READS // 100


def test_the_walls_are_those_of_every_user(served: Running) -> None:
    told: tuple[int, Any] = served.call("GET", "/api/v1/files/download?path=big.bin", Authorization="Bearer nobody")
    assert told[0] == 401
