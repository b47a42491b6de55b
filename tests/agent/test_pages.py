from __future__ import annotations

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from app.accounts import service as accounts
from app.actor import Actor
from app.agent.pages import home
from app.dialects.mount import Cabin
from app.secrets import service as secrets
from tests.conftest import Caller
from tests.visitor import Browser, is_whole

KEY = "sk-test-4kQA"


class _Models(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        is_known = self.headers.get("Authorization") == f"Bearer {KEY}"
        body = b'{"data": [{"id": "tiny"}, {"id": "<b>big"}]}' if is_known else b"{}"
        self.send_response(200 if is_known else 401)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        return


@pytest.fixture
def base_url() -> Iterator[str]:
    """A server that opens two models to one key."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Models)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def nothing_pending() -> None:
    home._pending.clear()


def test_a_key_is_tested_and_then_saved_without_typing_it_again(browser: Browser, alice: Actor, base_url: str) -> None:
    form = {"provider": "other", "base_url": base_url}
    tested = browser.post("/providers/test", {**form, "key": KEY})
    assert tested.status_code == 303
    page = browser.get(tested.headers["Location"])
    assert is_whole(page)
    assert "The key works; 2 models." in page.text
    assert KEY not in page.text
    assert "kept, not shown" in page.text
    saved = browser.post("/providers", {**form, "key": "", "model": "tiny"})
    assert saved.status_code == 303
    assert "model=other/tiny" in saved.headers["Location"].replace("%2F", "/")
    assert KEY in secrets.reveal(alice, secrets.PROVIDER, "other")
    assert '<option value="other/tiny" selected>' in browser.get(saved.headers["Location"]).text


def test_the_providers_we_know_are_offered(browser: Browser) -> None:
    page = browser.get("/?connect=1")
    for name in ("OpenAI", "Anthropic", "Google", "Other, by base URL"):
        assert f">{name}</option>" in page.text


def test_htmx_gets_the_door_alone(browser: Browser, base_url: str) -> None:
    data = {"provider": "other", "base_url": base_url, "key": KEY}
    answer = browser.htmx("/providers/test", data)
    assert answer.status_code == 200
    assert "<html" not in answer.text
    assert 'id="door-key"' in answer.text
    assert "Save key and use it" in answer.text
    assert KEY not in answer.text
    assert "<b>big" not in answer.text


@pytest.mark.parametrize(
    "form",
    [
        {"provider": "other", "key": "wrong"},
        {"provider": "openai", "key": "", "base_url": ""},
        {"provider": "other", "key": "x", "base_url": ""},
        {"provider": "other", "key": "x", "base_url": "file:///etc/passwd"},
    ],
    ids=["wrong key", "no key", "no address", "no web address"],
)
def test_a_key_that_fails_is_told_and_not_kept(browser: Browser, base_url: str, form: dict[str, str]) -> None:
    answer = browser.htmx("/providers/test", {"base_url": base_url, **form})
    assert answer.status_code == 200
    assert 'class="result fail"' in answer.text
    assert "Save key and use it" not in answer.text


def test_nothing_is_saved_without_a_key(browser: Browser) -> None:
    assert browser.post("/providers", {"provider": "openai", "key": ""}).status_code == 400


def test_ollama_needs_no_key(browser: Browser) -> None:
    answer = browser.post("/providers", {"provider": "ollama", "base_url": "http://127.0.0.1:11434", "model": "q"})
    assert answer.status_code == 303


def test_only_who_keeps_secrets_connects(app: Cabin, bob: Actor, base_url: str) -> None:
    assert not accounts.may(bob, "secrets:write")
    theirs = Browser(app, bob)
    form = {"provider": "other", "base_url": base_url, "key": KEY}
    assert theirs.post("/providers", form).status_code == 403
    assert theirs.post("/providers/test", form).status_code == 403


@pytest.mark.parametrize("path", ["/providers", "/providers/test"])
def test_forms_need_the_token_and_our_own_origin(browser: Browser, path: str) -> None:
    assert browser.post(path, {"provider": "openai"}, token="").status_code == 403
    assert browser.post(path, headers={"Origin": "https://evil.example"}).status_code == 403


def test_a_stranger_connects_nothing(stranger: Caller) -> None:
    assert stranger.post("/providers").status_code == 401
