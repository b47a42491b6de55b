"""Whatever URL somebody types, nothing inside is called; what is called has bounds."""

from __future__ import annotations

import asyncio
import gzip
import ipaddress
import json
import socket
import ssl
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, TypeVar

import pytest

from app import config, gate, outbound
from app.errors import Invalid, TooLarge
from app.outbound import Bounds, Failed, NotAllowed, Rules
from tests.peer import Answer, Peer, certificate, drip, reply, serving

T = TypeVar("T")


@pytest.fixture
def peer() -> Iterator[Callable[..., Peer]]:
    """Starts peers; all of them stop after the test."""
    started: list[Peer] = []

    def start(answer: Answer | None = None, tls: ssl.SSLContext | None = None) -> Peer:
        started.append(Peer(answer, tls))
        return started[-1]

    yield start
    for one in started:
        one.stop()


@pytest.fixture
def canary(peer: Callable[..., Peer], monkeypatch: pytest.MonkeyPatch) -> Iterator[Peer]:
    """A server inside, on a port that would be fine on the open internet: nobody may come."""
    server = peer()
    monkeypatch.setattr(gate, "PORTS", (*gate.PORTS, server.server_port))
    yield server
    assert server.hits == []


@pytest.fixture(autouse=True)
def _no_allowlist(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "_current", config.Config(testing=True))


class Names:
    """A resolver that gives its answers in turn and the last one for ever; counts how often it is asked."""

    def __init__(self, *answers: list[str] | OSError) -> None:
        self.answers = answers
        self.asked: list[tuple[str, int]] = []

    def __call__(self, host: str, port: int) -> list[str]:
        self.asked.append((host, port))
        answer = self.answers[min(len(self.asked), len(self.answers)) - 1]
        if isinstance(answer, OSError):
            raise answer
        return answer


def in_own_loop(ask: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run it in a thread of its own: the browser tests may have left a running loop in this one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(lambda: asyncio.run(ask())).result()


def get(
    url: str, *, asynchronous: bool = False, bounds: Bounds = outbound.REQUEST, rules: Rules = outbound.USUAL
) -> bytes:
    """Get the body by the sync or the async client."""
    if not asynchronous:
        return outbound.request("GET", url, bounds=bounds, rules=rules).content

    return in_own_loop(lambda: outbound.request_async("GET", url, bounds=bounds, rules=rules)).content


both = pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])

INSIDE = [
    "127.0.0.1", "localhost", "localhost.", "127.1", "0x7f000001", "2130706433", "0177.0.0.1", "0.0.0.0",
    "[::1]", "[::]", "[::ffff:127.0.0.1]", "[::127.0.0.1]", "[64:ff9b::127.0.0.1]", "[2002:7f00:1::]",
    "10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1", "169.254.169.254", "[fd00:ec2::254]", "[fe80::1]",
    "224.0.0.1", "255.255.255.255", "192.0.0.9", "[ff02::1]", "[fc00::1]", "[2001:db8::1]",
    "\uff11\uff12\uff17.0.0.1",
]  # fmt: skip


@both
@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("host", INSIDE)
def test_it_calls_no_address_inside(canary: Peer, host: str, scheme: str, asynchronous: bool) -> None:
    with pytest.raises(NotAllowed) as told:
        get(f"{scheme}://{host}:{canary.server_port}/", rules=Rules(http=True), asynchronous=asynchronous)
    assert (told.value.status, told.value.code) == (400, "URL_NOT_ALLOWED")
    assert "not allowed" in told.value.message


PUBLIC = Names(["93.184.215.14"])


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd", "gopher://example.com/", "ftp://example.com/", "ws://example.com/", "data:,x",
        "", "//example.com/", "https:///x", "https://", "https://alice:pw@example.com/", "https://alice@example.com/",
        "http://example.com/", "https://example.com:22/", "https://example.com:6379/", "https://example.com:0/",
        "https://example.com:99999/", "https://example.com\\@127.0.0.1/", "https://exa\nmple.com/",
        " https://example.com/", "javascript:alert(1)", "https://[::1/",
    ],
)  # fmt: skip
def test_it_calls_no_url_of_another_form(url: str) -> None:
    with pytest.raises(NotAllowed):
        get(url, rules=Rules(resolve=PUBLIC))
    with pytest.raises(NotAllowed):
        outbound.check(url, rules=Rules(resolve=PUBLIC), look_up=True)


@both
def test_it_refuses_a_host_that_has_one_address_inside(canary: Peer, asynchronous: bool) -> None:
    names = Names(["93.184.215.14", "127.0.0.1"])
    with pytest.raises(NotAllowed):
        get(f"https://mixed.test:{canary.server_port}/", rules=Rules(resolve=names), asynchronous=asynchronous)


@both
@pytest.mark.parametrize("answer", [socket.gaierror(-2, "unknown"), [], ["not an address"]], ids=str)
def test_a_host_without_address_is_refused(answer: list[str] | OSError, asynchronous: bool) -> None:
    names = Names(answer)
    with pytest.raises(NotAllowed):
        get("https://nowhere.test/", rules=Rules(resolve=names), asynchronous=asynchronous)
    assert names.asked == [("nowhere.test", 443)]


@both
def test_a_second_answer_of_the_dns_is_checked_too(canary: Peer, asynchronous: bool) -> None:
    names = Names(["93.184.215.14"], ["127.0.0.1"])
    url = f"https://rebind.test:{canary.server_port}/"
    outbound.check(url, rules=Rules(resolve=names), look_up=True)
    with pytest.raises(NotAllowed):
        get(url, rules=Rules(resolve=names), asynchronous=asynchronous)


def test_it_dials_the_address_it_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    dialled: list[object] = []

    def refuse(address: object, *rest: object, **more: object) -> socket.socket:
        dialled.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "create_connection", refuse)
    names = Names(["93.184.215.14", "2606:2800:21f::1"], ["127.0.0.1"])
    with pytest.raises(Failed):
        get("https://rebind.test/", rules=Rules(resolve=names))
    assert dialled == [("93.184.215.14", 443), ("2606:2800:21f::1", 443)]
    assert names.asked == [("rebind.test", 443)]


@both
@pytest.mark.parametrize("redirects", [1, 9])
def test_a_redirect_inside_is_refused(
    peer: Callable[..., Peer], canary: Peer, redirects: int, asynchronous: bool
) -> None:
    door = peer(lambda visit: reply(visit, 302, Location=f"{canary.url}/inside"))
    with pytest.raises(NotAllowed):
        get(door.url, bounds=Bounds(redirects=redirects), rules=Rules(http=True, allow=(door.place,)),
            asynchronous=asynchronous)  # fmt: skip
    assert len(door.hits) == 1


@pytest.mark.parametrize("target", ["file:///etc/passwd", "http://alice:pw@127.0.0.1/", "gopher://x/"])
def test_a_redirect_to_another_form_is_refused(peer: Callable[..., Peer], target: str) -> None:
    door = peer(lambda visit: reply(visit, 302, Location=target))
    with pytest.raises((NotAllowed, Failed)):
        get(door.url, bounds=Bounds(redirects=3), rules=Rules(allow=(door.place,)))


@both
def test_it_follows_at_most_three_redirects(peer: Callable[..., Peer], asynchronous: bool) -> None:
    door = peer(lambda visit: reply(visit, 302, Location=visit.path + "x"))
    rules = Rules(allow=(door.place,))
    assert outbound.request("GET", door.url, rules=rules).status_code == 302
    door.hits.clear()
    with pytest.raises(Failed):
        get(door.url, bounds=Bounds(redirects=9), rules=rules, asynchronous=asynchronous)
    assert len(door.hits) == 4


@both
@pytest.mark.parametrize("entry", ["{place}", "127.0.0.0/8", "127.0.0.1"])
def test_the_allowlist_opens_its_target(peer: Callable[..., Peer], entry: str, asynchronous: bool) -> None:
    server = peer()
    config.use(config.Config(testing=True, outbound_allow=(entry.format(place=server.place),)))
    assert get(server.url, asynchronous=asynchronous) == b"hello"


@pytest.mark.parametrize(
    ("entry", "url"),
    [
        ("127.0.0.1:1", "http://127.0.0.1:{port}/"), ("127.0.0.1:{port}", "http://localhost:{port}/"),
        ("127.0.0.1:{port}", "http://127.0.0.2:{port}/"), ("localhost:{port}", "http://127.0.0.1:{port}/"),
        ("127.0.0.0/31", "http://127.0.0.2:{port}/"), ("10.0.0.0/8", "http://127.0.0.1:{port}/"),
        ("0.0.0.0/0", "http://[::ffff:127.0.0.1]:{port}/"), ("::/0", "http://[::ffff:127.0.0.1]:{port}/"),
        ("::/0", "http://[64:ff9b::7f00:1]:{port}/"), ("169.254.0.0/16", "http://169.254.169.254/"),
        ("169.254.169.254:80", "http://169.254.169.254/"), ("[fd00:ec2::254]:80", "http://[fd00:ec2::254]/"),
    ],
)  # fmt: skip
def test_the_allowlist_opens_nothing_else(canary: Peer, entry: str, url: str) -> None:
    port = canary.server_port
    with pytest.raises(NotAllowed):
        get(url.format(port=port), rules=Rules(allow=(entry.format(port=port),)))


def test_a_network_opens_a_host_only_with_all_its_addresses(canary: Peer) -> None:
    names = Names(["127.0.0.1", "10.0.0.1"])
    with pytest.raises(NotAllowed):
        get(f"https://two.test:{canary.server_port}/", rules=Rules(allow=("127.0.0.0/8",), resolve=names))


@pytest.mark.parametrize("entry", ["localhost", "10.0.0.0/99", "http://x:80", "x:0", "x:70000", ":80", "*"])
def test_a_bad_entry_of_the_allowlist_is_named(entry: str) -> None:
    with pytest.raises(Invalid, match="neither a network nor host:port"):
        gate.Allowed.read([entry])


def test_the_allowlist_knows_hosts_in_any_spelling() -> None:
    allowed = gate.Allowed.read(["IdP.local.:8443", "[::1]:9000"])
    assert allowed.hosts == {("idp.local", 8443), ("::1", 9000)}


@pytest.mark.parametrize("text", ["93.184.215.14", "8.8.8.8", "2606:2800:21f::1", "2a00:1450:4001::200e"])
def test_the_open_internet_is_open(text: str) -> None:
    assert gate.is_public(ipaddress.ip_address(text))
    Rules(resolve=Names([text])).gate().addresses("https", "example.com", 8443)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's and a visitor's context for the host api.test."""
    file = certificate(tmp_path_factory.mktemp("tls"), "api.test")
    return serving(file), ssl.create_default_context(cafile=str(file))


@both
def test_the_host_stays_in_sni_certificate_and_header(
    peer: Callable[..., Peer], certificates: tuple[ssl.SSLContext, ssl.SSLContext], asynchronous: bool
) -> None:
    asked: list[str | None] = []
    certificates[0].sni_callback = lambda sock, name, context: asked.append(name)
    server = peer(tls=certificates[0])
    port, names = server.server_port, Names(["127.0.0.1"])
    rules = Rules(allow=("127.0.0.1",), resolve=names, tls=certificates[1])
    assert get(f"https://api.test:{port}/", rules=rules, asynchronous=asynchronous) == b"hello"
    assert (asked, server.hosts) == (["api.test"], [f"api.test:{port}"])
    with pytest.raises(Failed, match=r"(?i)certificate"):
        get(f"https://other.test:{port}/", rules=rules, asynchronous=asynchronous)
    assert len(server.hits) == 1


# Bounds


@both
def test_an_answer_has_a_size(peer: Callable[..., Peer], asynchronous: bool) -> None:
    server = peer(lambda visit: reply(visit, 200, b"x" * 1000))
    rules = Rules(allow=(server.place,))
    assert len(get(server.url, bounds=Bounds(size=1000), rules=rules, asynchronous=asynchronous)) == 1000
    with pytest.raises(TooLarge):
        get(server.url, bounds=Bounds(size=999), rules=rules, asynchronous=asynchronous)


@both
def test_a_packed_answer_is_measured_unpacked(peer: Callable[..., Peer], asynchronous: bool) -> None:
    server = peer(lambda visit: reply(visit, 200, gzip.compress(bytes(10**7)), Content_Encoding="gzip"))
    rules = Rules(allow=(server.place,))
    with pytest.raises(TooLarge):
        get(server.url, rules=rules, asynchronous=asynchronous)
    roomy = Bounds(size=10**7)
    assert get(server.url, bounds=roomy, rules=rules, asynchronous=asynchronous) == bytes(10**7)


@pytest.mark.parametrize(("packing", "body"), [("br", b"x"), ("gzip", b"no gzip")])
def test_an_answer_packed_another_way_fails(peer: Callable[..., Peer], packing: str, body: bytes) -> None:
    server = peer(lambda visit: reply(visit, 200, body, Content_Encoding=packing))
    with pytest.raises(Failed):
        get(server.url, rules=Rules(allow=(server.place,)))


@both
@pytest.mark.parametrize(
    "data",
    [b"HTTP/1.1 200 OK\r\nX: " + b"x" * 500, b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n" + b"x" * 500],
    ids=["headers", "body"],
)
def test_an_answer_that_drips_ends_in_time(peer: Callable[..., Peer], data: bytes, asynchronous: bool) -> None:
    server = peer(drip(data))
    started = time.monotonic()
    with pytest.raises(Failed):
        get(
            server.url,
            bounds=Bounds(total=0.4),
            rules=Rules(allow=(server.place,)),
            asynchronous=asynchronous,
        )
    assert time.monotonic() - started < 30


def _stall(after: bytes) -> Answer:
    def answer(visit: BaseHTTPRequestHandler) -> None:
        visit.wfile.write(after)
        visit.server.closing.wait(60)  # type: ignore[attr-defined]

    return answer


BEGUN = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx"


@both
@pytest.mark.parametrize(
    ("after", "bounds"),
    [(b"", Bounds(first_byte=0.2, total=None)), (BEGUN, Bounds(between_bytes=0.2, total=None))],
    ids=["first byte", "between bytes"],
)
def test_a_model_that_stalls_fails_in_time(
    peer: Callable[..., Peer], after: bytes, bounds: Bounds, asynchronous: bool
) -> None:
    server = peer(_stall(after))

    async def ask() -> None:
        async with outbound.trusted_async(bounds) as client:
            await client.get(server.url, timeout=600)  # what an SDK asks for changes nothing

    started = time.monotonic()
    if asynchronous:
        with pytest.raises(Failed):
            in_own_loop(ask)
    else:
        with outbound.trusted(bounds) as client, pytest.raises(Failed):
            client.get(server.url, timeout=600)
    assert time.monotonic() - started < 30


def test_a_slow_model_that_keeps_talking_is_heard_out(peer: Callable[..., Peer]) -> None:
    body = b"x" * 40
    server = peer(drip(b"HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\n" + body))
    with outbound.trusted(Bounds(first_byte=1, between_bytes=0.5, total=None, size=None)) as client:
        assert client.get(server.url).content == body


def test_a_trusted_client_follows_no_redirect(peer: Callable[..., Peer], canary: Peer) -> None:
    door = peer(lambda visit: reply(visit, 307, Location=canary.url))
    with outbound.trusted() as client:
        assert client.get(door.url).status_code == 307
        with pytest.raises(Failed):
            client.get(door.url, follow_redirects=True)


@pytest.mark.parametrize("name", ["HTTP_PROXY", "ALL_PROXY", "http_proxy"])
def test_the_environment_sets_no_proxy(
    peer: Callable[..., Peer], canary: Peer, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, canary.url)
    server = peer()
    with outbound.trusted() as client:
        assert client.get(server.url).content == b"hello"
    assert get(server.url, rules=Rules(allow=(server.place,))) == b"hello"


def test_the_environment_gives_no_password(
    peer: Callable[..., Peer], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login alice password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    server = peer(lambda visit: reply(visit, 200, str(visit.headers.get("Authorization")).encode()))
    with outbound.trusted() as client:
        assert client.get(server.url).content == b"None"


def test_the_model_libraries_take_the_trusted_client(peer: Callable[..., Peer]) -> None:
    from anthropic import AsyncAnthropic
    from openai import AsyncOpenAI

    models = json.dumps({"object": "list", "data": [{"id": "m", "object": "model", "created": 1, "owned_by": "x"}]})
    server = peer(lambda visit: reply(visit, 200, models.encode(), Content_Type="application/json"))

    async def ask() -> list[str]:
        async with outbound.trusted_async() as http:
            one = AsyncOpenAI(api_key="k", base_url=server.url, http_client=http)
            AsyncAnthropic(api_key="k", base_url=server.url, http_client=http)
            return [model.id async for model in one.models.list()]

    assert in_own_loop(ask) == ["m"]


def test_connections_of_trusted_clients_are_kept(peer: Callable[..., Peer]) -> None:
    ports: set[int] = set()

    def note(visit: BaseHTTPRequestHandler) -> None:
        ports.add(visit.client_address[1])
        reply(visit, 200)

    server = peer(note)
    with outbound.trusted() as client:
        for _ in range(3):
            client.get(server.url)
    assert len(ports) == 1
