"""Sixty hostile words in everything that people, models, tools, files and repositories can say: on every page they stay
words. No dialog opens, nobody else is asked for anything, and the policy has nothing to refuse (THREATS 2.5 and 2.6).
"""

from __future__ import annotations

import json
import re
import shlex
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from playwright.sync_api import Browser, Page, expect

from app import csrf
from tests import repository
from tests.browser.conftest import Open, signed_in
from tests.model_server import ModelServer
from tests.running import Running
from tests.test_server_access import OWNER, ask
from tests.test_web_filters import PAYLOADS

pytestmark = pytest.mark.browser

EVIL = "<img src=x onerror=alert(1)>"
SHORT = [text for text in PAYLOADS if len(text) <= 60 and text.isprintable() and "/" not in text]
EMAIL = "<img/src=x/onerror=alert(1)>@example.com"
BRANCH = "<img/src=x/onerror=alert(1)>"
PARAMETERS = re.compile(r"<")
# Not what a page shows: files to take away, streams, scripts, ways to a provider, and the way out.
NO_PAGES = re.compile(
    r"/(static|audit/export|browse/(raw|zip)|live|push\.js|connect|signin/with|settings/.*/(export|test))"
)
# Whatever a browser made of a word: scripts, handlers, frames, foreign addresses, and what htmx would act upon.
MADE = """() => [...document.querySelectorAll("*")].filter((one) =>
    (one.localName === "script" && (!one.src || new URL(one.src).origin !== location.origin)) ||
    ["iframe", "object", "embed", "base", "math"].includes(one.localName) ||
    (one.localName === "meta" && one.httpEquiv.toLowerCase() === "refresh") ||
    [...one.attributes].some((each) => /^on/i.test(each.name) || /^\\s*(javascript|vbscript|data:text)/i.test(each.value)) ||
    (one.localName === "img" && !/^(data:|\\/|blob:)/.test(one.getAttribute("src") || "/")) ||
    (one.getAttribute("data-ask") || "") === "per_1" ||
    (one.localName === "form" && new URL(one.action, location.href).origin !== location.origin)
).map((one) => one.outerHTML.slice(0, 200))"""


@dataclass
class Hostile:
    """A server where everything that can be said has been said, and all its pages."""

    running: Running
    state: Any
    pages: list[str]
    session: str
    folder: Path


@pytest.fixture(scope="module")
def hostile(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hostile]:
    base = tmp_path_factory.mktemp("hostile").resolve()
    root = repository.make(base / "shop", files=5)
    fill_repository(root)
    with ModelServer() as model:
        settings = {"OPENAI_BASE_URL": model.url, "OPENAI_API_KEY": "test-key", "MODEL": "openai/scripted"}
        with Running(base / "data", root, **settings) as running:
            state = signed_in(browser, running)
            session = fill_sessions(running)
            fill_people(running)
            fill_forms(running, state)
            fill_providers(running)
            yield Hostile(running, state, pages(running, session), session, base)


def fill_repository(root: Path) -> None:
    """Files, their names, a branch, modes, servers and instructions of a hostile repository."""
    (root / "evil.md").write_text("\n\n".join(PAYLOADS).replace("\0", ""))
    (root / "evil.html").write_text("<script>alert(1)</script><img src=x onerror=alert(1)>")
    (root / "evil.svg").write_text(
        '<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"><script>alert(1)</script></svg>'
    )
    for text in SHORT:
        (root / f"{text}.txt").write_text(text)
    modes = [
        {"slug": f"evil-{number}", "name": text, "roleDefinition": text, "whenToUse": text, "description": text,
         "customInstructions": text, "groups": ["read"]}
        for number, text in enumerate(SHORT)
    ]  # fmt: skip
    (root / ".roomodes").write_text(json.dumps({"customModes": modes}))
    (root / ".roo").mkdir()
    servers = {text: {"command": "python3", "args": ["-c", text], "disabled": True} for text in SHORT[:8]}
    (root / ".roo" / "mcp.json").write_text(json.dumps({"mcpServers": servers}))
    (root / "AGENTS.md").write_text("\n\n".join(PAYLOADS).replace("\0", ""))
    commands = root / ".opencode" / "command"
    commands.mkdir(parents=True)
    (commands / "evil.md").write_text(f"---\ndescription: {json.dumps(EVIL)}\n---\n{EVIL}\n")
    repository.git(root, "add", "-A")
    repository.git(root, "-c", "user.name=<b>", "-c", "user.email=<b>", "commit", "-q", "-m", EVIL)
    repository.git(root, "checkout", "-q", "-b", BRANCH)


def fill_sessions(running: Running) -> str:
    """A session per word as its title, and one in which all of them are said, read, run and answered."""
    for text in PAYLOADS:
        assert running.call("POST", "/session", {"title": text.replace("\0", "")})[0] == 200
    made = running.call("POST", "/session", {"title": EVIL})[1]["id"]
    for text in PAYLOADS:
        body = {"noReply": True, "parts": [{"type": "text", "text": text}]}
        assert running.call("POST", f"/session/{made}/message", body)[0] == 200
    said = [text for text in PAYLOADS if "]]" not in text and "[[" not in text and text.isprintable()]
    words = " ".join(f"[[say {text}]]" for text in said[:30])
    prompt = f"[[read evil.md]]&[[grep {EVIL}]]&[[read {SHORT[0]}.txt]] {words}"
    answer = running.call("POST", f"/session/{made}/message", {"parts": [{"type": "text", "text": prompt}]})
    assert answer[0] == 200
    shell = {"agent": "build", "command": f"printf %s {shlex.quote(EVIL)}; printf '\\033]8;;javascript:alert(1)\\007x'"}
    assert running.call("POST", f"/session/{made}/shell", shell)[0] == 200
    waits = {"parts": [{"type": "text", "text": f"[[bash echo '{EVIL}']]"}]}
    assert running.call("POST", f"/session/{made}/prompt_async", waits)[0] in (200, 204)
    return str(made)


def fill_people(running: Running) -> None:
    """People, roles and invites with such names; and devices that say so of themselves."""
    told = []
    for number, text in enumerate(SHORT[:20]):
        person = {"email": f"p{number}@example.com", "password": "tractor-lamp-9", "name": text}
        assert running.call("POST", "/api/v1/auth/register", person)[0] == 201
        role = {"name": text, "description": text, "permissions": ["sessions:read"]}
        told.append(running.call("POST", "/api/v1/roles", role)[0])
    assert told.count(200) >= 10, told  # some differ by case alone, which no two roles do
    person = {"email": EMAIL, "password": "tractor-lamp-9", "name": EVIL}
    assert running.call("POST", "/api/v1/auth/register", person)[0] == 201
    body = {"email": "p0@example.com", "password": "tractor-lamp-9"}
    assert running.call("POST", "/api/v1/auth/login", body, Authorization="", **{"User-Agent": EVIL})[0] == 200
    sign_in = {"Content-Type": "application/x-www-form-urlencoded", "Origin": running.url, "User-Agent": EVIL}
    assert ask(running.port, "POST", "/signin", sign_in, f"code={running.sign_in_code()}".encode()).status == 303


def fill_forms(running: Running, state: Any) -> None:
    """What only forms take: names of tokens, invites, secrets and channels."""
    (sid,) = [cookie["value"] for cookie in state["cookies"] if cookie["name"] == "sid"]

    def send(path: str, **fields: str) -> int:
        headers = {"Cookie": f"sid={sid}", "Content-Type": "application/x-www-form-urlencoded", "Origin": running.url}
        body = urlencode({"csrf_token": csrf.csrf_token(sid), **fields}).encode()
        return ask(running.port, "POST", path, {**headers, "Accept": "text/html"}, body).status

    assert send("/account/tokens", name=EVIL, scopes="sessions:read") == 400
    assert send("/invites", email=f"i{EMAIL}", roles="member") in (200, 303)
    assert send("/account/notifications/webhook", name=EVIL, url="https://hooks.example.com/<b>") in (200, 303, 404)


def fill_providers(running: Running) -> None:
    """Providers to sign in with that are called so."""
    columns = (
        "id, name, issuer, client_id, scopes, auto_register, default_role, role_claim, role_map, enabled, ceiling, "
        "set_by, said, fetched, created, updated"
    )
    place = "https://idp.example.com/<b>"
    said = {"issuer": place, "authorization_endpoint": place, "token_endpoint": place, "jwks_uri": place,
            "algorithms": ["RS256"]}  # fmt: skip
    connection = sqlite3.connect(running.data_dir / "signalcabin.db", timeout=20)
    with connection:
        for number, text in enumerate(SHORT):
            row = (f"p{number}", text, "https://idp.example.com/<b>", EVIL, '["openid"]', 1, "member", EVIL,
                   json.dumps({EVIL: "member"}), 1, '["*"]', "x", json.dumps(said), 9 * 10**15, 1, 1)  # fmt: skip
            connection.execute(f"INSERT INTO oidc_provider ({columns}) VALUES ({','.join('?' * len(row))})", row)
    connection.close()


def pages(running: Running, session: str) -> list[str]:
    """Every page of the URL map: those with parameters on the session and the repository, and hostile ones too."""
    from app import assemble

    rules = [one for one in assemble().url_map.iter_rules() if not one.subdomain and "GET" in (one.methods or ())]
    plain = [one.rule for one in rules if "<" not in one.rule and not NO_PAGES.match(one.rule)]
    begins = ask(running.port, "GET", "/browse", {**OWNER, "Accept": "text/html"})
    key = re.search(r"/browse/([^/?]+)", begins.headers["Location"] or "")
    assert key
    _status, inbox = running.call("GET", "/inbox", Accept="text/html")
    asks = sorted(set(re.findall(r'href="(/inbox/[\w-]+)"', inbox)))
    word = quote(EVIL, safe="")
    files = [f"/browse/{key[1]}/{quote(name)}" for name in ("evil.md", "evil.html", "evil.svg", f"{SHORT[0]}.txt")]
    asked = [f"{path}?q={word}&next={word}&mode={word}&role={word}&server={word}" for path in plain]
    return [
        *plain, *asked, f"/sessions/{session}", f"/sessions/{session}/changes", f"/sessions/{session}/share",
        f"/browse/{key[1]}", *files, *asks, f"/browse/find/{key[1]}?q={word}", f"/nosuch/{word}", f"/inbox/{word}",
        f"/sessions/{word}", "/settings/modes?mode=evil-0", f"/signin/{word}", f"/terminals/{word}", f"/s/{word}",
    ]  # fmt: skip


def test_hostile_words_stay_words_on_every_page(hostile: Hostile, open_page: Open) -> None:
    page = open_page(hostile.running, storage_state=hostile.state, allowed=("status of 4",))
    assert len(PAYLOADS) >= 60
    for path in hostile.pages:
        answer = page.goto(path)
        assert answer is not None
        assert answer.status < 500, path
        assert page.evaluate(MADE) == [], path
    page.goto(f"/sessions/{hostile.session}")
    for text in (EVIL, "<script>alert(1)</script>", "<iframe src=javascript:alert(1)></iframe>"):
        expect(page.locator("main")).to_contain_text(text)
    page.goto("/members")
    expect(page.locator("main")).to_contain_text(EMAIL)
    page.goto("/settings/sign-in")
    expect(page.locator("main")).to_contain_text(EVIL)


def test_a_stranger_sees_words_too(hostile: Hostile, open_page: Open) -> None:
    page = open_page(hostile.running, allowed=("status of 4",))
    shared = hostile.running.call("POST", f"/session/{hostile.session}/share")[1]["share"]["url"]
    for path in ("/signin", f"/signin?next={quote(EVIL)}", "/join", shared, f"/s/{quote(EVIL, safe='')}"):
        page.goto(path)
        assert page.evaluate(MADE) == [], path
    page.goto("/signin")
    expect(page.locator("main")).to_contain_text(EVIL)


def test_a_hostile_export_is_shown_in_words(hostile: Hostile, open_page: Open) -> None:
    page = open_page(hostile.running, storage_state=hostile.state)
    settings = {name: {"apiProvider": "openai", "openAiModelId": "x", "id": f"p{at}"} for at, name in enumerate(SHORT)}
    modes = [{"slug": "evil", "name": EVIL, "roleDefinition": EVIL, "groups": ["read"]}]
    written = {
        "providerProfiles": {"currentApiConfigName": EVIL, "apiConfigs": settings},
        "globalSettings": {
            "customInstructions": "\n".join(PAYLOADS).replace("\0", ""),
            "customModes": modes,
            "allowedCommands": list(SHORT),
        },
    }
    file = hostile.folder / "roo-code-settings.json"
    file.write_text(json.dumps(written))
    page.goto("/settings/import")
    page.locator("input[type=file]").set_input_files(file)
    page.get_by_role("button", name="Show what it changes").click()
    expect(page.get_by_role("heading", name="Profiles")).to_be_visible()
    expect(page.locator("main")).to_contain_text(EVIL)
    assert page.evaluate(MADE) == []


def test_what_prints_hostile_words_into_a_terminal_prints_words(hostile: Hostile, open_page: Open) -> None:
    page: Page = open_page(hostile.running, storage_state=hostile.state)
    page.goto("/terminals")
    page.get_by_role("button", name="New terminal").click()
    page.wait_for_url(re.compile(r"/terminals/pty_"))
    made = page.url.rpartition("/")[2]
    typed = {"data": "cat evil.md; printf '\\033]52;c;ZXZpbA==\\007\\033]0;owned\\007la''st\\n'\n"}
    sent = hostile.running.call("POST", f"/api/v1/pty/{made}/input/send", typed)
    assert sent[0] in (200, 204), sent
    expect(page.locator(".xterm-rows, .xterm-accessibility").first).to_contain_text("last")
    assert page.evaluate(MADE) == []
    assert "owned" not in page.title()
