from __future__ import annotations

import json
import re
from typing import Any

import pytest
from click.testing import CliRunner
from markdown_it import MarkdownIt
from markdown_it.token import Token

from app import cli, redact
from app.actor import Actor
from app.config import Config
from app.dialects.mount import Cabin
from app.projects import service as projects
from app.sessions import service
from app.sessions.pages import export, markdown
from app.sessions.service import Message, Part, Session
from tests.conftest import Caller
from tests.visitor import Browser

FORMATS = ("md", "json", "html")
EVIL = "<script>alert(1)</script>"
# What would run, load or pretend something once a reader shows it.
PAYLOADS = (
    EVIL,
    "<img src=x onerror=alert(1)>",
    "<IMG SRC=JaVaScRiPt:alert(1)>",
    "<svg/onload=alert(1)>",
    "<iframe src=https://evil.example></iframe>",
    "<style>@import 'https://evil.example/x.css'</style>",
    "</style><script>alert(1)</script>",
    "</title><script>alert(1)</script>",
    "</pre></details></section><h1>The agent</h1>",
    "<base href=https://evil.example/>",
    "<meta http-equiv=refresh content='0;url=https://evil.example'>",
    "<a href='javascript:alert(1)'>x</a>",
    "<!-- hidden -->",
    "<!--",
    "-->",
    "<?php system('id') ?>",
    "<![CDATA[x]]>",
    "<x:script xmlns:x='http://www.w3.org/1999/xhtml'>alert(1)</x:script>",
    "<details open ontoggle=alert(1)>",
    "<form action=https://evil.example><input name=q></form>",
    "![pixel](https://evil.example/p.gif)",
    "![pixel][1]\n\n[1]: https://evil.example/p.gif",
    "[x](javascript:alert(1))",
    "[x](JAVASCRIPT:alert(1))",
    "[x](data:text/html;base64,PHNjcmlwdD4=)",
    "[x](vbscript:msgbox(1))",
    "[x]( file:///etc/passwd )",
    "<javascript:alert(1)>",
    "[docs]: https://evil.example",
    "```\nopen",
    "~~~\nopen",
    "````\n```\n</section>",
    "```\n```\n<script>alert(1)</script>",
    "\t<script>alert(1)</script>",
    "- x\n\n\t\t<script>alert(1)</script>",
    "\\`<script>alert(1)</script>`",
    "`` ` <script>alert(1)</script>",
    "x\n\n## The agent, 2026-01-01 00:00:00 UTC\n\nAll is well.",
    "The agent\n=========",
    "> > quote\nlazy",
    "* * *",
    "| a | b |\n|---|---|\n| <script> | ![x](//evil.example) |",
    "line\r\rother\r\n<script>alert(1)</script>",
    "line\u2028<script>alert(1)</script>",
    "\x1b]0;owned\x07\x1b[2J\x1b[31mred",
    "\x1b]52;c;cm0gLXJmIC8=\x07",
    "\u202egnp.exe",
    "{{ 7*7 }} {% raw %} ${7*7} #{7*7}",
    "&lt;script&gt;alert(1)&lt;/script&gt; &#60;script&#62;",
    "\0nul",
    "a" * 20_000,
    "<" * 2_000,
    "`" * 2_001,
)


@pytest.fixture
def session(app: Cabin, alice: Actor) -> Session:
    """A session of Alice's on the sample."""
    return service.create(alice, projects.resolve(alice, None), title="Fix rounding")


def say(actor: Actor, session: Session, text: str) -> Message:
    """A message nobody answers."""
    return service.send(actor, session.id, [{"type": "text", "text": text}], no_reply=True)[0]


def exported(browser: Browser, session: Session, kind: str) -> Any:
    """The answer of an export."""
    return browser.get(f"/sessions/{session.id}/export?format={kind}")


@pytest.mark.parametrize("kind", FORMATS)
def test_a_session_is_a_file_to_take_away(browser: Browser, alice: Actor, session: Session, kind: str) -> None:
    say(alice, session, "Round once, not twice")
    answer = exported(browser, session, kind)
    assert answer.status_code == 200
    assert "Round once, not twice" in answer.text
    assert re.fullmatch(
        rf'attachment; filename="fix-rounding-\d{{4}}-\d\d-\d\d\.{kind}"', answer.headers["Content-Disposition"]
    )
    assert answer.headers["Content-Type"].startswith(export.TYPES[kind])
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Security-Policy"] == "sandbox; default-src 'none'"


def test_json_is_the_transcript_as_opencode_has_it(
    browser: Browser, call: Caller, alice: Actor, session: Session
) -> None:
    for number in range(250):
        say(alice, session, f"message {number}")
    read = json.loads(exported(browser, session, "json").text)
    assert read["info"] == call.get(f"/session/{session.id}").json
    assert read["messages"] == call.get(f"/session/{session.id}/message").json
    assert len(read["messages"]) == 250


def test_a_session_without_messages_is_a_file_too(browser: Browser, session: Session) -> None:
    assert json.loads(exported(browser, session, "json").text)["messages"] == []
    assert exported(browser, session, "md").text.startswith("# Fix rounding\n")
    assert exported(browser, session, "html").text.rstrip().endswith("</html>")


@pytest.mark.parametrize("kind", FORMATS)
def test_a_stranger_learns_nothing(app: Cabin, alice: Actor, bob: Actor, session: Session, kind: str) -> None:
    private = service.update(alice, session.id, visibility="private")
    theirs, unknown = exported(Browser(app, bob), private, kind), f"/sessions/ses_unknown/export?format={kind}"
    assert theirs.status_code == Browser(app, bob).get(unknown).status_code == 404
    assert "Fix rounding" not in theirs.text


@pytest.mark.parametrize("kind", FORMATS)
def test_the_address_of_a_shared_session_stays_here(
    browser: Browser, alice: Actor, session: Session, kind: str
) -> None:
    slug = service.share(alice, session.id).share_slug
    assert slug
    assert slug not in browser.get(f"/sessions/{session.id}/export?format={kind}").text


def test_an_unknown_format_is_told(browser: Browser, session: Session) -> None:
    answer = exported(browser, session, "pdf")
    assert answer.status_code == 400
    assert "md, json, html" in answer.text


def test_who_is_not_signed_in_gets_nothing(stranger: Caller, session: Session) -> None:
    assert stranger.get(f"/sessions/{session.id}/export").status_code == 401


@pytest.mark.parametrize("kind", FORMATS)
def test_secrets_stay_here(browser: Browser, alice: Actor, session: Session, kind: str) -> None:
    say(alice, session, "the key is sk-canary-0123456789 and more")
    service.update(alice, session.id, title="Rotate sk-canary-0123456789")
    redact.watch("CANARY", "sk-canary-0123456789")
    try:
        answer = exported(browser, session, kind)
        text = answer.text + str(answer.headers)
    finally:
        redact.forget("CANARY")
    assert "sk-canary" not in text
    assert "secret:CANARY" in text.replace("\\", "")


@pytest.mark.parametrize("payload", PAYLOADS, ids=range(len(PAYLOADS)))
def test_hostile_words_stay_text(browser: Browser, alice: Actor, session: Session, payload: str) -> None:
    say(alice, session, payload)
    service.update(alice, session.id, title=payload[:500] if payload.strip("\0 ") else "x")
    answer = exported(browser, session, "md")
    assert re.fullmatch(r'attachment; filename="[a-z0-9-]+\.md"', answer.headers["Content-Disposition"])
    assert headings(answer.text) == ["h1", "h2"]
    assert_only_words(answer.text)
    page = exported(browser, session, "html").text
    assert_page_is_ours(page)
    assert json.loads(exported(browser, session, "json").text)["messages"]


def test_hostile_calls_and_answers_stay_text(app: Cabin, session: Session) -> None:
    for payload in PAYLOADS:
        hostile = talk(session, payload)
        text = "".join(markdown.written(session, hostile))
        assert headings(text) == ["h1", "h2"], payload
        assert_only_words(text)
        with app.test_request_context():
            assert_page_is_ours("".join(export._html(session, iter(hostile))))


def test_words_that_are_markdown_stay_markdown() -> None:
    text = "Use **once**:\n\n- one\n- [two](https://example.com)\n\n```py\nround(x)\n```"
    assert markdown.said(text).replace("> ", "").replace(">", "") == text


def test_the_command_line_writes_the_same_file(
    app: Cabin, settings: Config, browser: Browser, alice: Actor, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    say(alice, session, "Round once")
    monkeypatch.setattr(cli, "_config", lambda: settings)
    for kind in FORMATS:
        done = CliRunner().invoke(cli.main, ["export", session.id, "--format", kind])
        assert (done.exit_code, done.output) == (0, exported(browser, session, kind).text)
    assert CliRunner().invoke(cli.main, ["export", "ses_nowhere"]).exit_code == 1


def test_the_page_and_the_command_bar_lead_to_it(browser: Browser, session: Session) -> None:
    page = browser.get(f"/sessions/{session.id}").text
    hits = browser.get(f"/search?q=export&at={session.id}").text
    for kind in FORMATS:
        path = f"/sessions/{session.id}/export?format={kind}"
        assert path in page
        assert path in hits
    assert "/export?" not in browser.get("/search?q=export").text


def talk(session: Session, payload: str) -> list[Message]:
    """An answer of the agent that says, calls and fails with a payload."""
    state = {"status": "error", "input": {"command": payload, "x": payload}, "output": payload, "error": payload}
    patched = {"status": "completed", "input": {"filePath": payload}, "metadata": {"diff": f"@@ -1 +1 @@\n+{payload}"}}
    given: list[tuple[str, dict[str, Any]]] = [
        ("text", {"text": payload}),
        ("reasoning", {"text": payload}),
        ("tool", {"callID": "1", "tool": "bash", "state": state}),
        ("tool", {"callID": "2", "tool": payload, "state": state}),
        ("tool", {"callID": "3", "tool": "edit", "state": patched}),
        ("tool", {"callID": "4", "tool": "read", "state": patched}),
        ("file", {"filename": payload}),
        ("retry", {"attempt": payload}),
    ]
    parts = [Part(f"prt_{n}", "msg_1", session.id, kind, data) for n, (kind, data) in enumerate(given)]
    error = {"name": payload, "data": {"message": payload}}
    return [Message("msg_1", session.id, "assistant", {"error": error}, 1, 2, parts)]


def flat(tokens: list[Token] | None) -> list[Token]:
    """Tokens with those inside them."""
    return [one for token in tokens or [] for one in (token, *flat(token.children))]


def parsed(text: str) -> list[Token]:
    """What a reader that allows everything makes of it."""
    reader = MarkdownIt("commonmark", {"html": True}).enable("table")
    reader.validateLink = lambda _url: True  # type: ignore[method-assign]
    env: dict[str, Any] = {}
    tokens = flat(reader.parse(text, env))
    assert not env.get("references")
    return tokens


def headings(text: str) -> list[str]:
    """The headings outside of quotes."""
    return [token.tag for token in parsed(text) if token.type == "heading_open" and token.level == 0]


def assert_only_words(text: str) -> None:
    """Markdown that loads and runs nothing."""
    tokens = parsed(text)
    assert not {token.type for token in tokens} & {"html_block", "html_inline", "image"}
    addresses = [str(token.attrs["href"]).lower() for token in tokens if token.type == "link_open"]
    assert [one for one in addresses if not one.startswith(("http:", "https:", "mailto:"))] == []
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", text)


def assert_page_is_ours(page: str) -> None:
    """HTML with our elements alone, which loads nothing and runs nothing."""
    tags = {name.lower() for name in re.findall(r"<\s*/?\s*([a-zA-Z!?][\w:-]*)", page)}
    known = "!doctype html head meta title style body h1 h2 h3 h4 h5 h6 ul ol li code main section time p div span pre"
    known += " details summary table thead tbody tr th td mark a em strong s blockquote hr br"
    assert tags <= set(known.split())
    assert not re.search(r"<[^>]*\s(src|srcset|style|on\w+|action|background|poster)\s*=", page)
    assert (page.count("<style>"), page.count("<title>"), page.count("<meta ")) == (1, 1, 4)
    assert all(url.lower().startswith(("http:", "https:", "mailto:")) for url in re.findall(r'href="([^"]*)"', page))
    assert export.POLICY in page.replace("&#39;", "'")
