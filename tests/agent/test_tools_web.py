"""webfetch on a real server: what it gives, whom it never asks, and what it makes of HTML."""

from __future__ import annotations

import base64
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from app import config
from app.agent import tools
from app.agent.tools import ToolContext, markup, webfetch
from app.config import Config
from tests.agent.reading import refusal
from tests.patience import PATIENCE
from tests.test_outbound import Peer, drip, reply

Answer = Callable[[BaseHTTPRequestHandler], None]
Serve = Callable[..., Peer]
PAGE = "<!doctype html><title>Shop</title><h2>Prices</h2><p>From <a href='/list'>5 &euro;</a>.</p>"


@pytest.fixture
def serve(context: ToolContext) -> Iterator[Serve]:
    """Starts servers on the loopback that the operator has opened by hand."""
    started: list[Peer] = []

    def start(answer: Answer | None = None, *, opened: bool = True) -> Peer:
        peer = Peer(answer)
        started.append(peer)
        allowed = tuple(one.place for one in started if opened)
        config.use(Config(data_dir=config.current().data_dir, testing=True, outbound_allow=allowed))
        return peer

    yield start
    for one in started:
        one.stop()


def sent(body: bytes | str, kind: str, status: int = 200, **headers: str) -> Answer:
    data = body if isinstance(body, bytes) else body.encode()
    return lambda visit: reply(visit, status, data, **({"Content_Type": kind} if kind else {}), **headers)


def fetch(context: ToolContext, url: str, **given: Any) -> tools.Result:
    return tools.run("webfetch", context, {"url": url, **given})


@pytest.mark.parametrize(
    ("form", "output"),
    [
        ("markdown", "# Shop\n\n## Prices\n\nFrom [5 €]({url}/list).\n"),
        ("text", "Shop\n\nPrices\n\nFrom 5 €.\n"),
        ("html", PAGE),
    ],
)
def test_a_page_comes_in_the_form_that_was_asked_for(
    context: ToolContext, serve: Serve, form: str, output: str
) -> None:
    peer = serve(sent(PAGE, "text/html; charset=utf-8"))
    result = fetch(context, f"{peer.url}/shop?q=1", format=form)
    assert result.output == output.format(url=peer.url)
    assert result.title == f"{peer.url}/shop?q=1 (text/html)"
    assert result.metadata == {
        "url": f"{peer.url}/shop?q=1",
        "host": "127.0.0.1",
        "status": 200,
        "type": "text/html",
        "bytes": len(PAGE),
    }
    assert peer.hits == ["/shop?q=1"]


def test_markdown_is_the_usual_form(context: ToolContext, serve: Serve) -> None:
    assert "## Prices" in fetch(context, serve(sent(PAGE, "text/html")).url).output


def test_nobody_is_asked_before_it_is_decided(context: ToolContext, serve: Serve) -> None:
    peer = serve()
    prepared = tools.prepare("webfetch", context, {"url": peer.url})
    assert (prepared.title, prepared.metadata) == (peer.url, {"url": peer.url, "host": "127.0.0.1"})
    assert peer.hits == []


@pytest.mark.parametrize(
    ("body", "kind", "output"),
    [
        ('{"a": "<b>"}', "application/json", '{"a": "<b>"}'),
        ("<p>x", "text/plain", "<p>x"),
        ("<a/>", "application/atom+xml", "<a/>"),
        ("<svg/>", "image/svg+xml", "<svg/>"),
        ("plain", "", "plain"),
        ("<html><p>page", "", "page\n"),
        ("ä".encode("latin-1"), "text/plain; charset=ISO-8859-1", "ä"),
        (b"<meta charset=windows-1252><p>\x80", "text/html", "€\n"),
        (b"\xef\xbb\xbfx", "text/plain", "x"),
        (b"\xff", "text/plain; charset=punycode", "\ufffd"),
        (b"\xff", "text/plain; charset=none-such", "\ufffd"),
        (b"", "text/plain", "(nothing)"),
    ],
)
def test_text_comes_as_it_is(context: ToolContext, serve: Serve, body: bytes | str, kind: str, output: str) -> None:
    assert fetch(context, serve(sent(body, kind)).url).output == output


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("image/png", b"\x89PNG\r\n\x1a\n..."),
        ("image/jpeg", b"\xff\xd8\xff..."),
        ("image/gif", b"GIF89a..."),
        ("image/webp", b"RIFF\0\n\0\0WEBP"),
    ],
)
def test_a_picture_is_attached(context: ToolContext, serve: Serve, kind: str, data: bytes) -> None:
    result = fetch(context, serve(sent(data, kind)).url)
    url = f"data:{kind};base64,{base64.b64encode(data).decode()}"
    assert result.attachments == ({"mime": kind, "url": url},)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (sent(b"%PDF", "application/pdf"), "is application/pdf, which is neither text nor a picture"),
        (sent(b"MZ\0\0", ""), "is binary data"),
        (sent("<p>", "image/png"), "says it is image/png and is not"),
        (sent("gone", "text/html", 404), "answered 404 Not Found."),
        (sent("x", "text/plain", 503), "answered 503"),
        (sent(b"x" * (5 * 1024 * 1024 + 1), "text/plain"), "is larger than 5,242,880 bytes"),
        (sent("", "", 302, Location="http://[bad"), "redirects to what is no address"),
        (sent("", "", 302, Location="file:///etc/passwd"), "This URL is not allowed"),
        (lambda visit: visit.connection.shutdown(socket.SHUT_RDWR), "could not be reached"),
    ],
)
def test_what_cannot_be_shown_is_an_error(context: ToolContext, serve: Serve, answer: Answer, why: str) -> None:
    assert why in refusal("webfetch", context, url=serve(answer).url)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:{port}/",
        "http://localhost:{port}/",
        "https://169.254.169.254/latest/meta-data",
        "https://[::ffff:127.0.0.1]/",
        "https://2130706433/",
        "http://alice:pw@127.0.0.1:{port}/",
        "file:///etc/passwd",
        "ftp://example.com/",
        "//example.com",
        "example.com",
        "https://",
        " https://example.com",
        "https://example.com\\@127.0.0.1/",
    ],
)
def test_nothing_inside_is_asked(context: ToolContext, serve: Serve, url: str) -> None:
    canary = serve(opened=False)
    assert "This URL is not allowed" in refusal("webfetch", context, url=url.format(port=canary.server_port))
    assert canary.hits == []


@pytest.mark.parametrize(
    "given", [{}, {"url": ""}, {"url": "https://e.org", "format": "pdf"}, {"url": "https://e.org", "timeout": 0}]
)
def test_a_bad_input_is_told(context: ToolContext, given: dict[str, Any]) -> None:
    assert "The input of webfetch is not right" in refusal("webfetch", context, **given)


def test_a_redirect_on_the_same_host_is_followed(context: ToolContext, serve: Serve) -> None:
    def answer(visit: BaseHTTPRequestHandler) -> None:
        moved = {"/a": "b", "/b": "/c/d"}.get(visit.path)
        if moved:
            reply(visit, 302, Location=moved)
        else:
            reply(visit, 200, b"here", Content_Type="text/plain")

    peer = serve(answer)
    result = fetch(context, f"{peer.url}/a")
    assert (result.output, result.metadata["url"]) == ("here", f"{peer.url}/c/d")
    assert peer.hits == ["/a", "/b", "/c/d"]


def test_a_redirect_to_another_host_is_told_and_not_followed(context: ToolContext, serve: Serve) -> None:
    other = serve()
    named = other.url.replace("127.0.0.1", "localhost")
    peer = serve(sent("", "", 301, Location=f"{named}/x"))
    result = fetch(context, peer.url)
    assert f"redirects to another host and was not followed: {named}/x" in result.output
    assert (result.metadata["status"], result.metadata["redirect"]) == (301, f"{named}/x")
    assert other.hits == []


def test_a_ring_of_redirects_ends(context: ToolContext, serve: Serve) -> None:
    peer = serve(lambda visit: reply(visit, 302, Location=visit.path + "x"))
    assert "redirects more than 3 times" in refusal("webfetch", context, url=peer.url)
    assert len(peer.hits) == 4


def test_a_host_that_reads_in_two_ways_is_not_asked(context: ToolContext) -> None:
    assert "can be read in two ways" in refusal("webfetch", context, url="https://bücher.example/")


def test_it_waits_as_long_as_it_was_told(context: ToolContext, serve: Serve) -> None:
    peer = serve(drip(b"x" * 1_000))
    began = time.monotonic()
    assert refusal("webfetch", context, url=peer.url, timeout=0.3)
    assert time.monotonic() - began < 15


def test_it_ends_when_the_run_is_stopped(context: ToolContext, serve: Serve) -> None:
    came = threading.Event()

    def answer(visit: BaseHTTPRequestHandler) -> None:
        came.set()
        visit.server.closing.wait(10)  # type: ignore[attr-defined]

    peer = serve(answer)
    stopper = threading.Thread(target=lambda: came.wait(PATIENCE) and context.cancel.set())
    stopper.start()
    began = time.monotonic()
    assert refusal("webfetch", context, url=peer.url) == "The fetch was stopped."
    assert time.monotonic() - began < 15
    stopper.join()


def test_a_long_page_lies_in_a_file(context: ToolContext, serve: Serve) -> None:
    page = "".join(f"<p>line {number}</p>" for number in range(20_000))
    result = fetch(context, serve(sent(page, "text/html")).url)
    assert "the whole output" in result.output
    assert "line 19999" in context.scratch.read_text(result.metadata["outputPath"])


@pytest.mark.parametrize(
    ("html", "markdown"),
    [
        ("<h1>A  b</h1><h3>c</h3>", "# A b\n\n### c\n"),
        ("<p>one<p>two<div>three", "one\n\ntwo\n\nthree\n"),
        ("a <b> bold </b>and<i>it</i>", "a **bold** and*it*\n"),
        ("a<br>b", "a\nb\n"),
        ("<a href='x y?a=1&amp;b=(2)'>l</a>", "[l](https://e.org/d/x%20y?a=1&b=%282%29)\n"),
        ("<a href=//f.org>l</a><a href='#top'>t</a>", "[l](https://f.org)t\n"),
        ("<a href=' java&#115;cript:x'>l</a>", "l\n"),
        ("<a href=x><img src=y alt='a  b'></a>", "[![a b](https://e.org/d/y)](https://e.org/d/x)\n"),
        ("<img src='data:image/png;base64,AA' alt=q>", "q\n"),
        ("<ul><li>a<li>b<ul><li>c</ul><li><p>d<p>e</ul>", "- a\n- b\n  - c\n- d\n\n  e\n"),
        ("<ol start=9><li>a<li>b</ol>", "9. a\n10. b\n"),
        ("<ol start=x><li>a</ol>", "1. a\n"),
        ("<pre><code class='x language-py'>a\n  b &lt; `c`</code></pre>", "```py\na\n  b < `c`\n```\n"),
        ("<pre>```</pre>", "````\n```\n````\n"),
        ("<code>a`b</code> <code>c</code>", "`` a`b `` `c`\n"),
        ("<table><tr><th>N<th>V<tr><td>a|b<td>1<tr><td>c</table>", "| N | V |\n| --- | --- |\n| a\\|b | 1 |\n| c |  |\n"),
        ("<table><tr><td><table><tr><td>x</table><p>y</table>", "x\n\ny\n"),
        ("<blockquote>a<p>b</blockquote>", "> a\n>\n> b\n"),
        ("<dl><dt>T<dd>D</dl>", "T\n\n: D\n"),
        ("a<hr>b", "a\n\n---\n\nb\n"),
        ("<script>x<p>y</script>a<style>b</style><!-- <p>c --><svg><text>d</text></svg>", "a\n"),
        ("<noscript>Enable it</noscript>", "Enable it\n"),
        ("<title>T</title><p>x", "# T\n\nx\n"),
        ("<title>T</title><h1>H</h1>", "# H\n"),
        ("1 < 2 & 3 &gt; 2 <3", "1 < 2 & 3 > 2 <3\n"),
        ("<p title='a>b'>x</p><p title=\"<p>\">y", "x\n\ny\n"),
        ("<div><p>a</div>b</p></span>c", "a\n\nbc\n"),
        ("<textarea><p>x</textarea>", "```\n<p>x\n```\n"),
        ("<!DOCTYPE x><?xml y?><P>A</P>", "A\n"),
        ("<p>never ends <a href='x>y", "never ends\n"),
        ("", "\n"),
    ],
)  # fmt: skip
def test_html_becomes_markdown(html: str, markdown: str) -> None:
    assert markup.to_markdown(html, "https://e.org/d/") == markdown


def test_html_becomes_words() -> None:
    html = (
        "<h2>A</h2><ul><li><a href=x>b</a></ul><p><b>c</b> <code>d</code><img src=x alt=y><table><tr><td>e<td>f</table>"
    )
    assert markup.to_text(html) == "A\n\n- b\n\nc d\n\ne\tf\n"


@pytest.mark.parametrize(
    "piece",
    ["<!--", "<a ", "<a b='", "&", "&x;", "<div>", "<div a>", "<b>x</p>", "<i><b></i>", "<table><tr><td>", "<ul><li>x",
     "</p>", "<p>", "<svg>", "<title>", "<script>", "<blockquote>x", "</", "<pre> ", "`", "<a a1=1 b2=2/c3=3"],
)  # fmt: skip
def test_no_page_takes_more_time_than_its_length(piece: str) -> None:
    """By the square of it, this would take minutes."""
    html = piece * 20_000
    began = time.process_time()
    markup.to_markdown(html, "https://e.org/")
    assert time.process_time() - began < 20


def test_an_answer_packed_in_no_known_way_is_refused(context: ToolContext, serve: Serve) -> None:
    peer = serve(sent(b"x", "text/plain", Content_Encoding="br"))
    assert "could not be reached" in refusal("webfetch", context, url=peer.url)
    assert webfetch.LARGEST == 5 * 1024 * 1024
