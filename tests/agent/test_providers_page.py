"""The settings of providers and models: connecting, testing over a real socket, and who may."""

from __future__ import annotations

import re
from pathlib import Path

import orjson
import pytest
import sqlalchemy as sa

from app import config, db, record
from app.accounts import service as accounts
from app.actor import Actor
from app.agent import service
from app.agent.providers import catalog, trial
from app.agent.providers.known import KNOWN
from app.agent.providers.standing import Default
from app.dialects.mount import Cabin
from app.errors import Denied, Invalid, Limited, NotFound
from app.projects import service as projects
from app.secrets import service as secrets
from tests.conftest import Caller, member
from tests.model_server import Cut, Fail, Gate, ModelServer, Say
from tests.visitor import Browser, is_whole

KEY = "sk-rack-4kQA998877zq.7"  # its end is in no token that is made of dice
PAGES = ["/settings/providers", "/settings/models"]
FORMS = [
    "/settings/providers",
    "/settings/models/default",
    *(f"/settings/providers/lab/{act}" for act in ("key", "remove", "test")),
]


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No keys, no home, no Ollama, nothing tested."""
    for known in KNOWN.values():
        for name in (*known.keys, known.base_url_key):
            monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(catalog, "OLLAMA_URL", "http://127.0.0.1:1")
    catalog._fetched.clear()
    trial._last.clear()


@pytest.fixture
def lab(alice: Actor, model_server: ModelServer) -> ModelServer:
    """A model server that is connected as `lab`."""
    catalog.connect(alice, "lab", KEY, model_server.url, "The lab")
    return model_server


def test_without_any_provider_the_page_says_how_to_begin(browser: Browser) -> None:
    page = browser.get("/settings/providers")
    assert is_whole(page)
    assert "No provider is connected yet, only the demo." in page.text
    assert "0 of 10 connected" in page.text
    assert all(f">{known.name}</a>" in page.text for known in KNOWN.values())


def test_a_key_connects_a_provider_and_is_never_shown_again(browser: Browser, alice: Actor) -> None:
    assert 'name="key"' in browser.get("/settings/providers?provider=mistral").text
    answer = browser.post("/settings/providers/mistral/key", {"key": KEY})
    assert answer.status_code == 303
    page = browser.get(answer.headers["Location"])
    assert "1 of 10 connected" in page.text
    assert "vault, by Owner" in page.text
    assert "kept, not shown" in page.text
    assert KEY not in page.text
    assert KEY[-4:] not in page.text
    assert orjson.loads(secrets.reveal(alice, secrets.PROVIDER, "mistral")) == {"type": "api", "key": KEY}
    assert "secrets.put provider/mistral" in audited()


def test_a_key_that_is_removed_leaves_the_one_of_the_environment(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MISTRAL_API_KEY", "from-the-environment")
    assert "environment <code>MISTRAL_API_KEY</code>" in browser.get("/settings/providers").text
    browser.post("/settings/providers/mistral/key", {"key": KEY})
    assert "It goes before" not in browser.get("/settings/providers?provider=mistral").text
    assert browser.post("/settings/providers/mistral/remove").status_code == 303
    page = browser.get("/settings/providers?provider=mistral").text
    assert "environment <code>MISTRAL_API_KEY</code>" in page
    assert "from-the-environment" not in page
    assert "secrets.delete provider/mistral" in audited()


def test_a_server_of_one_s_own_is_added_named_and_forgotten(
    browser: Browser, alice: Actor, model_server: ModelServer
) -> None:
    form = {"name": "The Rack!", "base_url": model_server.url, "key": ""}
    answer = browser.post("/settings/providers", form)
    assert answer.headers["Location"].endswith("/settings/providers?provider=the-rack")
    assert "1 model, windows and prices" in browser.get(answer.headers["Location"]).text
    assert "the-rack/scripted" in browser.get("/settings/models").text
    gone = browser.post("/settings/providers/the-rack/remove")
    assert gone.headers["Location"].endswith("/settings/providers")
    assert browser.get("/settings/providers?provider=the-rack").status_code == 404


@pytest.mark.parametrize(
    ("form", "told"),
    [
        ({"name": "OpenAI", "base_url": "http://127.0.0.1:9/v1"}, "There is a provider openai already."),
        ({"name": "!!", "base_url": "http://127.0.0.1:9/v1"}, "letters or digits"),
        ({"name": "rack", "base_url": ""}, "Give the address"),
        ({"name": "rack", "base_url": "file:///etc/passwd"}, 'role="alert"'),
        ({"name": "rack", "base_url": "http://127.0.0.1:9/v1", "key": "two words"}, "one word"),
    ],
    ids=["taken", "no name", "no address", "no web address", "no key"],
)
def test_what_makes_no_provider_is_told_beside_what_was_typed(
    browser: Browser, form: dict[str, str], told: str
) -> None:
    answer = browser.post("/settings/providers", form)
    assert answer.status_code == 400
    assert is_whole(answer)
    assert told in answer.text
    assert f'value="{form["name"]}"' in answer.text
    assert "two words" not in answer.text


def test_a_key_that_is_none_is_told_and_not_kept(browser: Browser, alice: Actor) -> None:
    answer = browser.post("/settings/providers/mistral/key", {"key": "two words"})
    assert answer.status_code == 400
    assert "one word without spaces" in answer.text
    assert "two words" not in answer.text
    assert secrets.names(alice, secrets.PROVIDER) == []


def test_a_test_asks_the_model_once_and_shows_how_long_it_took(browser: Browser, lab: ModelServer) -> None:
    answer = browser.post("/settings/providers/lab/test", {"model": "scripted"})
    assert answer.status_code == 303
    page = browser.get(answer.headers["Location"]).text
    assert "scripted answered." in page
    assert re.search(r"\d ms to the first piece", page)
    assert len(lab.requests) == 1
    assert lab.requests[0]["messages"] == [{"role": "user", "content": trial.ASKED}]
    assert lab.headers[0]["Authorization"] == f"Bearer {KEY}"
    assert KEY not in page


def test_htmx_gets_what_came_of_it_for_each_place_of_the_page(browser: Browser, lab: ModelServer) -> None:
    answer = browser.htmx("/settings/providers/lab/test")
    assert answer.status_code == 200
    assert "<html" not in answer.text
    assert 'hx-target="#trial-lab"' in answer.text
    assert 'hx-target="#state-lab"' in answer.text
    assert "scripted answered." in answer.text


NO_CREDIT = {"error": {"message": "You exceeded your current quota", "type": "insufficient_quota"}}
UNKNOWN = {"error": {"message": "The model `scripted` does not exist", "code": "model_not_found"}}


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ([Fail(401, {"error": {"message": f"Incorrect API key provided: {KEY}"}})], "The lab refused the key."),
        ([Fail(429, NO_CREDIT)], "has no credit or quota left"),
        ([Fail(402, {"error": {"message": "Insufficient Balance"}})], "has no credit or quota left"),
        ([Fail(404, UNKNOWN)], "does not know the model scripted"),
        ([Fail(404, "no such page")], "There is nothing at this address"),
        ([Fail(429, {"error": {"message": "Slow down"}})], "too much to do"),
        ([Fail(503)], "The lab is in trouble: it answered 503."),
        ([Fail(418, {"error": {"message": "<b>teapot</b>"}})], "&lt;b&gt;teapot&lt;/b&gt;"),
        ([Cut()], "The lab did not answer"),
    ],
    ids=["key", "quota", "balance", "model", "address", "busy", "down", "markup", "cut"],
)
def test_a_refusal_is_told_in_plain_words_without_the_key(
    browser: Browser, lab: ModelServer, script: list[object], told: str
) -> None:
    lab.script.append(script)  # type: ignore[arg-type]
    browser.post("/settings/providers/lab/test", {"model": "scripted"})
    page = browser.get("/settings/providers?provider=lab").text
    assert told in page
    assert KEY not in page
    assert 'class="result fail"' in page


def test_a_server_that_is_not_there_is_told(browser: Browser, alice: Actor) -> None:
    catalog.connect(alice, "lab", "", "http://127.0.0.1:1/v1", "The lab")
    browser.post("/settings/providers/lab/test", {"model": "any"})
    assert "The lab cannot be reached." in browser.get("/settings/providers?provider=lab").text


def test_one_that_says_nothing_is_given_up(alice: Actor, lab: ModelServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "LONGEST", 0.2)
    gate = Gate()
    lab.script.append([gate, Say("late")])
    found = service.try_provider(alice, "lab", "scripted")
    gate.opened.set()
    assert (found.reason, found.is_ok) == ("silent", False)


def test_another_key_makes_the_last_test_void(alice: Actor, lab: ModelServer) -> None:
    assert service.try_provider(alice, "lab").is_ok
    service.keep_key(alice, "lab", "another-key-of-it")
    assert service.last_trial(alice, "lab") is None


def test_more_tests_at_once_than_threads_are_free_for_are_put_off(alice: Actor, lab: ModelServer) -> None:
    places = [trial._places.acquire(blocking=False) for _ in range(trial.MOST_AT_ONCE)]
    try:
        with pytest.raises(Limited):
            service.try_provider(alice, "lab")
    finally:
        for _ in places:
            trial._places.release()
    assert service.try_provider(alice, "lab").is_ok


@pytest.mark.parametrize("provider", ["demo", "mistral", "nobody"])
def test_what_is_not_connected_is_not_asked(alice: Actor, browser: Browser, provider: str) -> None:
    with pytest.raises(NotFound):
        service.try_provider(alice, provider)
    assert browser.post(f"/settings/providers/{provider}/test").status_code == 404


def test_a_test_without_any_model_wants_one(alice: Actor) -> None:
    catalog.connect(alice, "lab", "", "http://127.0.0.1:1/v1", "The lab")
    with pytest.raises(Invalid):
        service.try_provider(alice, "lab")


def test_models_are_found_by_words_provider_and_what_they_can(browser: Browser) -> None:
    model = {"name": "Big", "limit": {"context": 262144, "output": 65536}, "reasoning": True, "attachment": False,
             "cost": {"input": 1.5, "output": 6, "cache_read": 0.15, "cache_write": 1.875}}  # fmt: skip
    given = {"options": {"baseURL": "http://127.0.0.1:1/v1"}, "models": {"big": model, "small": {}}}
    (config.current().data_dir / "opencode.json").write_bytes(orjson.dumps({"provider": {"rack": given}}))
    page = browser.get("/settings/models").text
    for shown in (
        "rack/big",
        "262,144",
        "65,536",
        "1.50",
        "6.00",
        "0.15",
        "1.875",
        "tools, thinks",
        "demo/walkthrough",
    ):
        assert shown in page
    assert named(browser.get("/settings/models?q=BIG").text) == ["rack/big"]
    assert named(browser.get("/settings/models?provider=demo").text) == ["demo/walkthrough"]
    assert named(browser.get("/settings/models?can=thinks").text) == ["rack/big"]
    assert named(browser.get("/settings/models?can=pictures&provider=rack").text) == ["rack/small"]
    assert "No model matches." in browser.get("/settings/models?q=nowhere").text
    part = browser.get("/settings/models?q=big", headers={"HX-Request": "true"}).text
    assert "<html" not in part
    assert named(part) == ["rack/big"]


def test_a_project_s_own_provider_is_shown_in_that_project_only(browser: Browser, alice: Actor) -> None:
    place = projects.resolve(alice, None)
    given = {"options": {"baseURL": "https://models.example/v1"}, "models": {"theirs": {}}}
    (place.directory / "opencode.json").write_bytes(orjson.dumps({"provider": {"rack": given}}))
    assert named(browser.get("/settings/models?q=theirs").text) == []
    page = browser.get(f"/settings/models?q=theirs&directory={place.directory}").text
    assert named(page) == ["rack/theirs"]
    assert "/settings/providers?provider=rack" not in page
    assert browser.get("/settings/providers?provider=rack").status_code == 404
    assert browser.post("/settings/providers/rack/test").status_code == 404
    assert browser.get("/settings/models?directory=/etc").status_code == 403


def test_known_models_have_their_prices_and_windows(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1")
    page = browser.get("/settings/models?q=openai/gpt-5").text
    row = next(one for one in page.split("<tr") if "<code>openai/gpt-5</code>" in one)
    assert "400,000" in row
    assert "1.25" in row


def test_a_provider_that_a_configuration_switches_off_is_neither_used_nor_asked(
    browser: Browser, alice: Actor, lab: ModelServer
) -> None:
    (config.current().data_dir / "opencode.json").write_text('{"disabled_providers": ["lab"]}')
    assert "lab" not in {one.id for one in catalog.list_providers(alice)}
    page = browser.get("/settings/providers?provider=lab").text
    assert "Switched off" in page
    assert browser.post("/settings/providers/lab/test").status_code == 404
    (config.current().data_dir / "opencode.json").write_text('{"enabled_providers": ["lab"]}')
    assert service.get_standing(alice, "lab").is_connected
    assert service.get_standing(alice, "openai").state == "disabled"


def test_a_password_in_an_address_is_not_shown(browser: Browser, alice: Actor) -> None:
    given = {"options": {"baseURL": "http://joe:hunter22@127.0.0.1:1/v1?key=abc"}, "models": {"m": {}}}
    (config.current().data_dir / "opencode.json").write_bytes(orjson.dumps({"provider": {"rack": given}}))
    page = browser.get("/settings/providers?provider=rack").text
    assert "127.0.0.1:1/v1" in page
    assert "hunter22" not in page
    assert "key=abc" not in page


def test_the_default_is_set_for_the_server_and_for_a_project_and_taken_back(
    browser: Browser, alice: Actor, lab: ModelServer
) -> None:
    place = projects.resolve(alice, None)
    assert browser.post("/settings/models/default", {"model": "lab/scripted", "directory": ""}).status_code == 303
    assert service.default_of(alice) == Default("lab", "scripted", "server")
    page = browser.get("/settings/models").text
    assert "set for this server" in page
    assert '<option value="lab/scripted" selected>' in page
    form = {"model": "demo/walkthrough", "directory": str(place.directory)}
    answer = browser.post("/settings/models/default", form)
    assert "set for this project" in browser.get(answer.headers["Location"]).text
    assert service.default_model(alice, place.directory) == ("demo", "walkthrough")
    assert service.default_model(alice) == ("lab", "scripted")
    browser.post("/settings/models/default", {**form, "model": ""})
    browser.post("/settings/models/default", {"model": "", "directory": ""})
    assert service.default_of(alice, place.directory).source == "first"
    assert [one for one in audited() if one.startswith("settings.set")]


@pytest.mark.parametrize(
    ("form", "status"),
    [
        ({"model": "lab"}, 400),
        ({"model": "mistral/large"}, 400),
        ({"model": "nobody/x"}, 404),
        ({"model": "demo/walkthrough", "directory": "/etc"}, 403),
    ],
    ids=["no provider", "not connected", "unknown", "no project"],
)
def test_a_default_that_would_never_hold_is_refused(browser: Browser, form: dict[str, str], status: int) -> None:
    assert browser.post("/settings/models/default", form).status_code == status


def test_bob_sets_no_default(app: Cabin, bob: Actor) -> None:
    theirs = Browser(app, bob)
    assert "Set default" not in theirs.get("/settings/models").text
    assert theirs.post("/settings/models/default", {"model": "demo/walkthrough"}).status_code == 403


@pytest.mark.usefixtures("lab")
def test_bob_reads_and_finds_no_button(app: Cabin, bob: Actor) -> None:
    theirs = Browser(app, bob)
    page = theirs.get("/settings/providers?provider=lab").text
    assert "vault, by Owner" in page
    for absent in ('name="key"', "Remove key", "/test", "Add provider"):
        assert absent not in page
    for path in FORMS:
        assert theirs.post(path, {"key": "x", "name": "a", "base_url": "http://127.0.0.1:9"}).status_code == 403
    nothing = [theirs.post(f"/settings/providers/{name}/test").status_code for name in ("lab", "nobody")]
    assert nothing == [403, 403]


@pytest.mark.parametrize("path", PAGES)
def test_who_may_not_read_settings_sees_neither(app: Cabin, alice: Actor, path: str) -> None:
    theirs = Browser(app, member(alice, "Dora", "base"))
    assert theirs.get(path).status_code == 403
    assert theirs.get(f"{path}?provider=nobody").status_code == 403


def test_charlie_is_denied_below_the_doors_too(charlie: Actor) -> None:
    for verb in (
        lambda: service.list_standings(charlie),
        lambda: service.default_of(charlie),
        lambda: service.last_trial(charlie, "lab"),
        lambda: service.try_provider(charlie, "lab"),
        lambda: service.keep_key(charlie, "openai", KEY),
        lambda: service.add_provider(charlie, "rack", "http://127.0.0.1:9/v1"),
    ):
        with pytest.raises(Denied):
            verb()


@pytest.mark.parametrize("path", FORMS)
def test_forms_need_the_token_and_our_own_origin(browser: Browser, path: str) -> None:
    assert browser.post(path, token="").status_code == 403
    assert browser.post(path, headers={"Origin": "https://evil.example"}).status_code == 403


@pytest.mark.parametrize("path", PAGES)
def test_a_stranger_is_sent_to_sign_in(stranger: Caller, path: str) -> None:
    assert stranger.get(path).status_code == 401


def named(page: str) -> list[str]:
    """The names of the models in a page's table, in their order."""
    return re.findall(r'class="title cut"[^>]*><code>([^<]+)</code>', page)


def audited() -> list[str]:
    """What the audit record says was done, and on what."""
    rows = record.audit_rows
    with db.read() as conn:
        return [f"{row.action} {row.target}" for row in conn.execute(sa.select(rows.c.action, rows.c.target))]


def test_the_owner_may_all_that_is_asked_for_here(alice: Actor) -> None:
    assert all(accounts.may(alice, key) for key in ("settings:read", "secrets:write"))
