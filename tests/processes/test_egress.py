"""Commands reach hosts by their own proxy only, after somebody has let them, and nothing inside ever."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import random
import re
import shutil
import socket
import subprocess
import sys
import tarfile
import threading
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pip
import psutil
import pytest

from app import gate
from app.processes import egress, handover, proxy, sandbox
from app.processes.egress import PORT, Egress, Reach, Target
from app.processes.spawn import start
from tests.conftest import command
from tests.peer import Answer, Peer, certificate, reply, serving
from tests.processes.conftest import World
from tests.processes.test_spawn import until, variables
from tests.repository import git

SHOP = "shop.test"


@dataclass
class Door:
    """Lets every host pass but those it has a word against; remembers who came, and can keep them waiting."""

    against: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    opened: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.opened.set()

    def __call__(self, target: Target) -> str:
        self.asked.append(str(target))
        self.opened.wait(20)
        return self.against.get(str(target), "")


@dataclass
class Names:
    """A resolver: every name is this machine, but those it is told; remembers what it was asked."""

    told: dict[str, list[str]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def __call__(self, host: str, _port: int) -> list[str]:
        self.asked.append(host)
        return self.told.get(host, ["127.0.0.1"])


@dataclass
class Proxied:
    """A proxy whose port lies on this machine's own loopback: handed over as a sandbox does it."""

    door: Door
    names: Names
    egress: Egress
    address: tuple[str, int]

    def connect(self) -> socket.socket:
        return socket.create_connection(self.address, 10)

    def say(self, *words: bytes) -> bytes:
        """All that is answered to these bytes."""
        with self.connect() as line:
            for each in words:
                line.sendall(each)
            return everything(line)

    def get(self, url: str) -> tuple[int, bytes]:
        """Status and body, through the proxy, redirects followed."""
        handler = urllib.request.ProxyHandler({"http": f"http://127.0.0.1:{self.address[1]}"})
        try:
            with urllib.request.build_opener(handler).open(url, timeout=10) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as failure:
            with failure:
                return failure.code, failure.read()


def everything(line: socket.socket) -> bytes:
    data = bytearray()
    while chunk := line.recv(65536):
        data += chunk
    return bytes(data)


def is_over(line: socket.socket) -> bool:
    """Whether it ends without a word; one that nobody had taken yet is reset."""
    try:
        return everything(line) == b""
    except ConnectionResetError:
        return True


def unanswered(port: int) -> int:
    """How many of our connections to a port wait for its answer."""
    found = psutil.Process().net_connections("tcp4")
    return sum(one.status == psutil.CONN_SYN_SENT and one.raddr.port == port for one in found)


def workers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "egress"]


@pytest.fixture
def peer() -> Iterator[Callable[..., Peer]]:
    """Starts servers; all of them stop after the test."""
    started: list[Peer] = []

    def begin(answer: Answer | None = None, **more: Any) -> Peer:
        started.append(Peer(answer, **more))
        return started[-1]

    yield begin
    for one in started:
        one.stop()


@pytest.fixture
def proxied(world: World) -> Iterator[Callable[..., Proxied]]:
    """Starts proxies; all of them end after the test, with every thread."""
    started: list[Proxied] = []

    def begin(*allow: str, door: Door | None = None, names: Names | None = None) -> Proxied:
        door, names = door or Door(), names or Names()
        made = Egress(door, allow=allow, resolve=names)
        with socket.create_server(("127.0.0.1", 0), backlog=256) as listener, made.channel() as channel:
            socket.send_fds(channel, [b"."], [listener.fileno()])
            started.append(Proxied(door, names, made, listener.getsockname()))
        return started[-1]

    yield begin
    for one in started:
        one.door.opened.set()
        one.egress.close()
    assert until(lambda: not workers())


def test_a_tunnel_carries_bytes_both_ways(proxied: Callable[..., Proxied], peer: Callable[..., Peer]) -> None:
    shop = peer(lambda visit: reply(visit, 200, f"hello {visit.headers['Host']}".encode()))
    way = proxied(f"{SHOP}:{shop.server_port}")
    told = way.say(
        f"CONNECT {SHOP}:{shop.server_port} HTTP/1.1\r\n\r\n".encode(),
        b"GET /inside HTTP/1.1\r\nHost: any\r\nConnection: close\r\n\r\n",
    )
    assert told.startswith(b"HTTP/1.1 200 Connection Established\r\n\r\nHTTP/1.1 200 OK")
    assert told.endswith(b"hello any")
    assert way.door.asked == [f"{SHOP}:{shop.server_port}"]
    assert way.egress.hosts() == [Reach(f"{SHOP}:{shop.server_port}", "reached")]


def test_a_tunnel_does_not_stall_when_both_sides_talk_at_once(proxied: Callable[..., Proxied]) -> None:
    size = 8 << 20

    def echo(listener: socket.socket) -> None:
        line, _ = listener.accept()
        with line:
            while data := line.recv(65536):
                line.sendall(data)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=echo, args=(listener,)).start()
        way = proxied(f"{SHOP}:{listener.getsockname()[1]}")
        with way.connect() as line:
            line.sendall(f"CONNECT {SHOP}:{listener.getsockname()[1]} HTTP/1.1\r\n\r\n".encode())
            assert line.recv(100).startswith(b"HTTP/1.1 200")
            talker = threading.Thread(target=lambda: (line.sendall(b"x" * size), line.shutdown(socket.SHUT_WR)))
            talker.start()
            assert len(everything(line)) == size
            talker.join()


def test_a_plain_request_goes_to_the_host_that_was_judged(
    proxied: Callable[..., Proxied], peer: Callable[..., Peer]
) -> None:
    seen: list[dict[str, str]] = []

    def answer(visit: BaseHTTPRequestHandler) -> None:
        seen.append({name.lower(): value for name, value in visit.headers.items()})
        reply(visit, 200, b"fine", Keep_Alive="timeout=5")

    shop = peer(answer)
    way = proxied(f"{SHOP}:{shop.server_port}")
    told = way.say(
        f"GET http://{SHOP}:{shop.server_port}/a?b=c HTTP/1.1\r\n".encode(),
        b"Host: evil.test\r\nProxy-Authorization: Basic c2VjcmV0\r\nConnection: keep-alive, X-Mine\r\n",
        b"X-Mine: 1\r\nAccept: */*\r\n\r\n",
    )
    assert shop.hits == ["/a?b=c"]
    assert seen == [{"host": f"{SHOP}:{shop.server_port}", "accept": "*/*", "connection": "close"}]
    head, _, body = told.partition(b"\r\n\r\n")
    assert body == b"fine"
    assert b"Connection: close" in head
    assert b"Keep-Alive" not in head


def test_a_request_with_a_body_is_carried_whole(proxied: Callable[..., Proxied], peer: Callable[..., Peer]) -> None:
    def echo(visit: BaseHTTPRequestHandler) -> None:
        reply(visit, 200, visit.rfile.read(int(visit.headers["Content-Length"])))

    shop = peer(echo)
    way = proxied(f"{SHOP}:{shop.server_port}")
    body = os.urandom(600_000)
    head = f"POST http://{SHOP}:{shop.server_port}/ HTTP/1.1\r\nContent-Length: {len(body)}\r\n"
    told = way.say(f"{head}Expect: 100-continue\r\n\r\n".encode(), body)
    assert told.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n")
    assert told.endswith(body)


def test_a_redirect_inside_is_judged_anew(proxied: Callable[..., Proxied], peer: Callable[..., Peer]) -> None:
    canary = peer()
    shop = peer(lambda visit: reply(visit, 302, Location=f"http://127.0.0.1:{canary.server_port}/"))
    way = proxied(f"{SHOP}:{shop.server_port}")
    status, body = way.get(f"http://{SHOP}:{shop.server_port}/")
    assert status == 403
    assert body.endswith(b": its host is not on the open internet.\n") or b"ports" in body
    assert canary.hits == []
    assert way.door.asked == [f"{SHOP}:{shop.server_port}"]


NEVER = [
    "127.0.0.1:443", "[::1]:443", "[::ffff:127.0.0.1]:443", "[::ffff:93.184.215.14]:443", "[64:ff9b::7f00:1]:443",
    "2130706433:443", "0x7f000001:443", "0177.0.0.1:443", "127.1:443", "0x7f.1:443", "127.0.0.0x1:443", "0:443",
    "10.0.0.1:443", "172.16.0.1:443", "192.168.1.1:443", "100.64.0.1:443", "169.254.169.254:80",
    "[fd00:ec2::254]:443", "[fe80::1%25eth0]:443", "0.0.0.0:443", "localhost:443", "LOCALHOST.:443",
    "app.localhost:443", "router:443", "db.internal:443", "printer.local:443", "example.com:22", "example.com:25",
    "example.com:6379", "example.com:0", "example.com:99999", "example.com", "example.com:", ":443",
    "bob@example.com:443", "example.com:443/x", "exa mple.com:443", "http://example.com:443", "[example.com]:443",
    "ex\u00e4mple.com:443", ".:443",
]  # fmt: skip


@pytest.mark.parametrize("target", NEVER)
def test_what_lies_inside_is_refused_before_anybody_is_asked(proxied: Callable[..., Proxied], target: str) -> None:
    way = proxied()
    told = way.say(f"CONNECT {target} HTTP/1.1\r\n\r\n".encode())
    assert told.startswith((b"HTTP/1.1 403 Not Allowed Here\r\n", b"HTTP/1.1 400 Bad Request\r\n"))
    assert (way.door.asked, way.names.asked) == ([], [])


@pytest.mark.parametrize(
    "first",
    [
        "GET / HTTP/1.1", "GET https://example.com/ HTTP/1.1", "GET ftp://example.com/ HTTP/1.1", "PRI * HTTP/2.0",
        "GET http://bob:pw@example.com/ HTTP/1.1", "GET http://example.com\\@127.0.0.1/ HTTP/1.1", "hello",
        "GET http://example.com/ HTTP/1.1\r\nbroken", "GET http://example.com/ HTTP/1.1\r\nA: b\r\n folded",
        "GET http://example.com/ HTTP/1.1\r\nA : b", "GET http://example.com/\x00 HTTP/1.1", "", "\x16\x03\x01",
        "GET http://example.com:22/ HTTP/1.1",
    ],
)  # fmt: skip
def test_what_is_no_request_for_a_proxy_is_refused(proxied: Callable[..., Proxied], first: str) -> None:
    way = proxied()
    assert way.say(f"{first}\r\n\r\n".encode()).startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 403 "))
    assert (way.door.asked, way.names.asked) == ([], [])


def test_a_name_is_looked_up_once_and_only_after_the_word(proxied: Callable[..., Proxied]) -> None:
    """Asking the DNS for a name would already tell it to whoever owns the name."""
    door = Door({"data.evil.example:443": "Alice rejected it"})
    names = Names({"turns.example": ["10.0.0.1"], "mixed.example": ["93.184.215.14", "127.0.0.1"]})
    way = proxied(door=door, names=names)
    refused = way.say(b"CONNECT data.evil.example:443 HTTP/1.1\r\n\r\n")
    assert refused.startswith(b"HTTP/1.1 403 ")
    assert refused.endswith(b"\r\n\r\ndata.evil.example:443: Alice rejected it.\n")
    assert names.asked == []
    for host in ("turns.example", "mixed.example"):
        told = way.say(f"CONNECT {host}:443 HTTP/1.1\r\n\r\n".encode())
        assert told.endswith(f"{host}:443: its host is not on the open internet.\n".encode())
    assert names.asked == ["turns.example", "mixed.example"]
    assert [reach.state for reach in way.egress.hosts()] == ["refused"] * 3


def test_a_host_that_does_not_answer_is_told(proxied: Callable[..., Proxied]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    way = proxied(f"{SHOP}:{port}")
    assert way.say(f"CONNECT {SHOP}:{port} HTTP/1.1\r\n\r\n".encode()).startswith(b"HTTP/1.1 502 Bad Gateway")
    assert way.egress.hosts() == [Reach(f"{SHOP}:{port}", "failed", "it does not answer")]


def hang_up(listener: socket.socket) -> None:
    listener.accept()[0].close()


def test_a_host_that_hangs_up_is_told(proxied: Callable[..., Proxied]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as rude:
        threading.Thread(target=hang_up, args=(rude,)).start()
        port = rude.getsockname()[1]
        way = proxied(f"{SHOP}:{port}")
        assert b"502 Bad Gateway" in way.say(f"GET http://{SHOP}:{port}/ HTTP/1.1\r\n\r\n".encode())


def test_heads_are_bounded_in_size_number_and_time(
    proxied: Callable[..., Proxied], monkeypatch: pytest.MonkeyPatch
) -> None:
    way = proxied()
    first = b"GET http://example.com/ HTTP/1.1\r\n"
    assert way.say(first, b"A: ", b"x" * proxy.HEAD_BYTES, b"\r\n\r\n").startswith(b"HTTP/1.1 431 ")
    assert way.say(first, b"A: b\r\n" * (proxy.HEADERS + 1), b"\r\n").startswith(b"HTTP/1.1 400 ")
    monkeypatch.setattr(proxy, "HEAD_SECONDS", 0.2)
    began = time.monotonic()
    with way.connect() as slow:
        slow.sendall(first + b"A: ")
        assert everything(slow).startswith(b"HTTP/1.1 408 ")
    assert time.monotonic() - began < 30
    assert way.door.asked == []


def test_two_hundred_connections_are_served_some_at_a_time(
    proxied: Callable[..., Proxied], peer: Callable[..., Peer]
) -> None:
    shop = peer()
    door = Door()
    door.opened.clear()
    way = proxied(f"{SHOP}:{shop.server_port}", door=door)
    lines = [way.connect() for _ in range(200)]
    for line in lines:
        line.sendall(f"GET http://{SHOP}:{shop.server_port}/ HTTP/1.1\r\n\r\n".encode())
    assert until(lambda: len(door.asked) == egress.CONNECTIONS)
    most = len(workers())
    door.opened.set()
    for line in lines:
        assert everything(line).endswith(b"hello")
        line.close()
    assert most <= egress.CONNECTIONS + 1
    assert (len(door.asked), len(way.egress.hosts())) == (200, 1)


def test_the_end_of_a_command_ends_its_connections(proxied: Callable[..., Proxied]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as host:
        way = proxied(f"{SHOP}:{host.getsockname()[1]}")
        with way.connect() as tunnel, way.connect() as silent:
            tunnel.sendall(f"CONNECT {SHOP}:{host.getsockname()[1]} HTTP/1.1\r\n\r\n".encode())
            far, _ = host.accept()
            with far:
                assert tunnel.recv(100).startswith(b"HTTP/1.1 200")
                way.egress.close()
                assert is_over(tunnel)
                assert is_over(silent)
                assert is_over(far)
    with pytest.raises(OSError):
        way.say(b"CONNECT example.com:443 HTTP/1.1\r\n\r\n")


def test_the_end_of_a_command_ends_its_search_for_an_address_that_answers(proxied: Callable[..., Proxied]) -> None:
    """Whoever owns a name can give it thousands of addresses where nobody answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=1) as full, ExitStack() as waiting:
        here = full.getsockname()
        for _ in range(3):  # from then on the kernel answers nobody
            one = waiting.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex(here)
        before = unanswered(here[1])
        way = proxied(f"{SHOP}:{here[1]}", names=Names({SHOP: [here[0]] * 1_000}))
        with way.connect() as tunnel:
            tunnel.sendall(f"CONNECT {SHOP}:{here[1]} HTTP/1.1\r\n\r\n".encode())
            assert until(lambda: unanswered(here[1]) > before)
            way.egress.close()
            assert until(lambda: not workers())


def test_what_is_handed_over_and_is_no_socket_is_closed(world: World) -> None:
    way = Egress(Door(), allow=(), resolve=Names())
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    with way.channel() as channel:
        socket.send_fds(channel, [b"."], [writer])
    os.close(writer)
    assert until(lambda: not workers())
    assert os.read(reader, 1) == b""  # nobody has its other end any more
    os.close(reader)
    way.close()


def test_only_so_many_hosts_are_remembered(proxied: Callable[..., Proxied]) -> None:
    way = proxied()
    for number in range(egress.NOTED + 5):
        way.say(f"CONNECT host{number}.local:443 HTTP/1.1\r\n\r\n".encode())
    assert len(way.egress.hosts()) == egress.NOTED


# In the sandbox

FETCH = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1], timeout=10).read().decode())"


def fetch(world: World, url: str, way: Egress | None, **options: Any) -> str:
    """What a command in the sandbox gets, or how that failed."""
    done = world.run("/usr/bin/env", "python3", "-c", FETCH, url, egress=way, **options)
    return done.output


def test_a_command_in_the_sandbox_reaches_what_it_may(world: World, peer: Callable[..., Peer]) -> None:
    shop = peer()
    names, door = Names(), Door({"mail.test:443": "Alice rejected it"})
    way = Egress(door, allow=(f"{SHOP}:{shop.server_port}",), resolve=names)
    assert fetch(world, f"http://{SHOP}:{shop.server_port}/", way) == "hello\n"
    way = Egress(door, allow=(), resolve=names)
    assert "403 Not Allowed Here" in fetch(world, "https://mail.test/", way)
    assert way.hosts() == [Reach("mail.test:443", "refused", "Alice rejected it")]


def test_a_command_has_its_own_proxy_and_nobody_elses(world: World, peer: Callable[..., Peer]) -> None:
    shop = peer()
    place = f"{SHOP}:{shop.server_port}"
    lucky = Egress(Door(), allow=(place,), resolve=Names())
    argv = ["/usr/bin/env", "python3", "-c", f"{FETCH}; sys.stdout.flush(); sys.stdin.read()", f"http://{place}/"]
    child = start(argv, cwd=world.workspace, workspace=world.workspace, private=world.private,
                  sandbox=True, stdin=True, egress=lucky)  # fmt: skip
    assert child.stdout is not None
    assert child.stdout.readline() == b"hello\n"
    other = Door({place: "Alice rejected it"})
    told = fetch(world, f"http://{place}/", Egress(other, allow=(place,), resolve=Names()))
    assert "403" in told
    assert other.asked == [place]
    assert "refused" in fetch(world, f"http://127.0.0.1:{PORT}/", None)
    child.close()
    assert shop.hits == ["/"]


def test_there_is_no_way_beside_the_proxy(world: World) -> None:
    door = Door()
    with (
        socket.create_server(("127.0.0.1", 0)) as canary,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams,
        socket.socket(socket.AF_UNIX) as abstract,
    ):
        name = f"signalcabin-egress-{os.getpid()}"
        abstract.bind(f"\0{name}")
        abstract.listen()
        datagrams.bind(("127.0.0.1", 0))
        tries = (
            f"socket.create_connection({canary.getsockname()!r}, 2)",
            "socket.create_connection(('93.184.215.14', 443), 2)",
            "socket.getaddrinfo('example.com', 443)",
            "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('93.184.215.14', 53))",
            "socket.socket(socket.AF_INET6, socket.SOCK_DGRAM).sendto(b'x', ('2606:2800:21f::1', 53))",
            f"socket.socket(socket.AF_UNIX).connect('\\0{name}')",
        )
        for each in tries:
            assert world.python(f"import socket; {each}", egress=Egress(door)).exit_code == 1, each
        datagrams.settimeout(0)
        port = datagrams.getsockname()[1]
        world.python(f"import socket; socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', {port}))",
                     egress=Egress(door))  # fmt: skip
        with pytest.raises(BlockingIOError):
            datagrams.recv(1)
    assert door.asked == []


def test_the_proxy_leaves_nothing_among_the_commands(world: World) -> None:
    seen = (
        "import glob, os\nprint([open(name).read() for name in glob.glob('/proc/[0-9]*/comm')])\n"
        "print(sorted(map(int, os.listdir('/proc/self/fd'))), os.listdir('/tmp'), os.listdir(os.environ['HOME']))\n"
        "print([line for line in open('/proc/self/status') if line.startswith('Sig')])"
    )
    with_proxy, without = world.python(seen, egress=Egress(Door())), world.python(seen)
    assert (with_proxy.exit_code, with_proxy.output) == (0, without.output)
    ignored = "grep SigIgn /proc/self/status"
    assert world.sh(ignored, egress=Egress(Door())).output == world.sh(ignored).output


def test_tools_learn_of_the_proxy_from_the_environment(world: World) -> None:
    seen = variables(world.run("env", env={"GRANTED": "yes"}, egress=Egress(Door())).output)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        assert seen[name] == seen[name.lower()] == f"http://127.0.0.1:{PORT}"
    assert seen["NO_PROXY"] == seen["no_proxy"] == "localhost,127.0.0.1,::1"
    assert seen["GRANTED"] == "yes"


def test_exit_codes_signals_and_input_stay_what_they_are(world: World) -> None:
    def way() -> Egress:
        return Egress(Door())

    assert world.sh("exit 7", egress=way()).exit_code == 7
    assert world.sh("kill -9 $$", egress=way()).exit_code == 137
    assert world.sh("kill -PIPE $$", egress=way()).exit_code == 141
    missing = world.run("no-such-command", egress=way())
    assert (missing.exit_code, "no-such-command" in missing.output) == (127, True)
    assert world.run("cat", stdin=b"given", egress=way()).output == "given"
    stopped = world.sh("trap 'echo bye; exit 3' TERM; echo up; while :; do sleep 0.05; done", timeout=3, egress=way())
    assert (stopped.exit_code, stopped.output[-4:], stopped.timed_out) == (3, "bye\n", True)


def test_a_command_on_a_terminal_has_a_proxy_too(world: World, peer: Callable[..., Peer]) -> None:
    shop = peer()
    way = Egress(Door(), allow=(f"{SHOP}:{shop.server_port}",), resolve=Names())
    ours, theirs = os.openpty()
    argv = ["/usr/bin/env", "python3", "-c", f"import os; os.ttyname(0); {FETCH}", f"http://{SHOP}:{shop.server_port}/"]
    child = start(argv, cwd=world.workspace, workspace=world.workspace, private=world.private,
                  sandbox=True, tty=theirs, egress=way)  # fmt: skip
    os.close(theirs)
    assert child.wait(20) == 0
    assert os.read(ours, 100) == b"hello\r\n"
    os.close(ours)


def test_a_command_that_waits_for_a_word_ends_in_its_time(world: World) -> None:
    door = Door()
    door.opened.clear()
    way = Egress(door, allow=(), resolve=Names())
    done = world.run("/usr/bin/env", "python3", "-c", FETCH, "https://mail.test/", timeout=6, grace=0.2, egress=way)
    assert done.timed_out
    assert way.hosts() == [Reach("mail.test:443", "waiting")]
    door.opened.set()
    assert until(lambda: not workers())


def test_outside_the_sandbox_there_is_no_proxy(world: World) -> None:
    way = Egress(Door())
    assert "PROXY" not in world.run("env", sandbox=False, egress=way).output
    assert workers() == []


def test_without_an_interpreter_inside_a_command_runs_all_the_same(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandbox, "interpreter", lambda: None)
    done = world.run("env", egress=Egress(Door()))
    assert done.exit_code == 0
    assert "PROXY" not in done.output


def test_a_port_that_cannot_be_opened_is_told_and_the_command_runs() -> None:
    argv = [sys.executable, "-I", "-S", "-c", Path(handover.__file__).read_text(), "0", "1", "echo", "ran"]
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True)
    assert done.stdout == "ran\n"
    assert done.stderr.startswith("This command has no network: ")


def test_it_gives_back_all_descriptors(world: World) -> None:
    world.run("true", egress=Egress(Door()))
    assert until(lambda: not workers())
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(3):
        world.run("true", egress=Egress(Door()))
    assert until(lambda: not workers() and len(list(Path("/proc/self/fd").iterdir())) == before)


# The tools that people use


def wheel() -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("bell.py", "RINGS = True\n")
        archive.writestr("bell-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: bell\nVersion: 1.0\n")
        archive.writestr("bell-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr("bell-1.0.dist-info/RECORD", "")
    return data.getvalue()


def package() -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as archive:
        text = json.dumps({"name": "bell", "version": "1.0.0"}).encode()
        about = tarfile.TarInfo("package/package.json")
        about.size = len(text)
        archive.addfile(about, io.BytesIO(text))
    return data.getvalue()


@pytest.fixture
def registry(peer: Callable[..., Peer], tmp_path: Path) -> tuple[Peer, Path]:
    """A server that speaks https as shop.test and has a page, a git repository, a wheel and an npm package."""
    repository = tmp_path / "bell"
    repository.mkdir()
    git(repository, "init", "-q", "-b", "main")
    git(repository, "-c", "user.name=T", "-c", "user.email=t@example.com", "commit", "-q", "--allow-empty", "-m", "One")
    git(tmp_path, "clone", "-q", "--bare", "bell", "bell.git")
    git(tmp_path / "bell.git", "update-server-info")
    held: dict[str, bytes] = {"/": b"welcome", "/bell-1.0-py3-none-any.whl": wheel(), "/bell-1.0.0.tgz": package()}
    held["/simple/bell/"] = b'<a href="/bell-1.0-py3-none-any.whl">bell-1.0-py3-none-any.whl</a>'

    def answer(visit: BaseHTTPRequestHandler) -> None:
        path = visit.path.partition("?")[0]
        if path == "/bell":
            shown = {"name": "bell", "dist-tags": {"latest": "1.0.0"}, "versions": {"1.0.0": version}}
            return reply(visit, 200, json.dumps(shown).encode(), Content_Type="application/json")
        file = tmp_path / path[1:]
        data = held.get(path) or (file.read_bytes() if path.startswith("/bell.git/") and file.is_file() else None)
        kind = "text/html" if path.startswith("/simple") else "application/octet-stream"
        return reply(visit, 404 if data is None else 200, data or b"", Content_Type=kind, Cache_Control="max-age=60")

    file = certificate(tmp_path, SHOP)
    server = peer(answer, tls=serving(file))
    digest = base64.b64encode(hashlib.sha512(held["/bell-1.0.0.tgz"]).digest()).decode()
    tarball = f"https://{SHOP}:{server.server_port}/bell-1.0.0.tgz"
    version = {"name": "bell", "version": "1.0.0", "dist": {"tarball": tarball, "integrity": f"sha512-{digest}"}}
    return server, file


PIP = ("-m", "pip", "--disable-pip-version-check", "download", "--no-deps", "bell", "--index-url", "{url}/simple/")
TOOLS = {
    "curl": (("curl", "-sS", "{url}/"), "welcome", ""),
    "git": (("git", "clone", "{url}/bell.git", "copy"), "Cloning", ""),
    "pip": (("python3", *PIP), "Saved ./bell-1.0-py3-none-any.whl", ".cache/pip"),
    "npm": (("npm", "install", "bell", "--registry", "{url}/"), "added 1 package", ".npm/_cacache"),
}


@pytest.mark.parametrize("tool", list(TOOLS))
def test_tools_work_by_the_proxy_and_keep_their_caches_in_the_private_home(
    world: World, registry: tuple[Peer, Path], tool: str
) -> None:
    argv, expected, cache = TOOLS[tool]
    command("python3" if tool == "pip" else tool, f"apt-get install {tool}")
    shutil.copytree(Path(pip.__file__).parent, world.workspace / "lib" / "pip")
    server, file = registry
    (world.workspace / "ca.pem").write_bytes(file.read_bytes())
    trust = ("CURL_CA_BUNDLE", "GIT_SSL_CAINFO", "PIP_CERT", "NODE_EXTRA_CA_CERTS", "npm_config_cafile")
    place = f"{SHOP}:{server.server_port}"
    door = Door()
    way = Egress(door, allow=(place,), resolve=Names())
    words = [word.format(url=f"https://{place}") for word in argv]
    env = {**dict.fromkeys(trust, str(world.workspace / "ca.pem")), "PYTHONPATH": str(world.workspace / "lib")}
    done = world.run(*words, env=env, timeout=60, egress=way)
    assert done.exit_code == 0, done.output
    assert expected in done.output
    assert set(door.asked) == {place}
    assert way.hosts() == [Reach(place, "reached")]
    assert (world.private / "home" / cache).is_dir()


def test_the_gate_foresees_what_needs_no_look_up() -> None:
    names = Names()
    inner = gate.Gate.build(True, ("10.0.0.0/8",), names)
    inner.foresee("https", "wiki.internal", 9000)  # its addresses will tell
    inner.foresee("https", "10.1.2.3", 9000)
    outer = gate.Gate.build(False, ("idp.local:8443",), names)
    outer.foresee("https", "IdP.local.", 8443)
    outer.foresee("https", "example.com", 443)
    for scheme, host, port in (("http", "example.com", 80), ("https", "idp.local", 443), ("https", "10.1.2.3", 443)):
        with pytest.raises(gate.NotAllowed):
            outer.foresee(scheme, host, port)
    assert names.asked == []


def parsed(head: bytes) -> Target | None:
    """The target of a request, None if it is refused as none."""
    try:
        return proxy.parse(head).target
    except proxy.Refused as refused:
        return None if refused.status == 400 else Target("", "", 0)


def test_whatever_is_sent_is_a_request_or_is_refused() -> None:
    dice = random.Random(1)
    plain = [b"CONNECT example.com:443 HTTP/1.1\r\nHost: x\r\n\r\n", b"GET http://example.com:80/a?b HTTP/1.1\r\nA: b\r\n\r\n",
             b"CONNECT [2606:2800:21f::1]:443 HTTP/1.1\r\n\r\n"]  # fmt: skip
    pieces = [b"@", b"[", b"]", b"::", b"%", b"0x7f", b"/", b"\\", b"\0", b"\xff", b" ", b"\t", b".", b":", b"9" * 6,
              b"\r\n", b"\n", b"a" * 300, b"#", b"?", b""]  # fmt: skip
    targets = []
    for _ in range(20_000):
        head = dice.choice(plain)
        at = dice.randrange(len(head))
        targets.append(parsed(head[:at] + dice.choice(pieces) + head[at + dice.randint(0, 3) :]))
    found = [target for target in targets if target is not None]
    assert 1_000 < len(found) < 19_000
    for target in found:
        assert re.fullmatch(r"([a-z0-9_.-]+|[0-9a-f:.]+)", target.host)
        assert 0 < target.port < 65536
        assert parsed(f"CONNECT {target} HTTP/1.1\r\n\r\n".encode()) == replace(target, scheme="https")
