"""Keys of people's own: each session is paid with its owner's, nobody else reads them, and they go with their person."""

from __future__ import annotations

import json
import threading
from dataclasses import replace

import pytest
import sqlalchemy as sa

from app import config, db, redact
from app.accounts import service as accounts
from app.actor import SYSTEM, Actor
from app.agent import model_keys
from app.agent import service as agent
from app.agent.providers import ProviderFailed, catalog
from app.config import Config
from app.dialects.mount import Cabin
from app.errors import Denied, Invalid, NotFound
from app.record import audit_rows
from app.secrets import models
from app.secrets import service as secrets
from app.sessions import service as sessions
from tests.agent.talk import Talk
from tests.conftest import Browser, Caller
from tests.model_server import Fail, ModelServer

ALICE_S, BOB_S = "sk-own-alice-0123456789abcdef", "sk-own-bob-fedcba9876543210"


def bearers(server: ModelServer) -> list[str]:
    """What each request was paid with, in the order in which they came."""
    return [{name.lower(): value for name, value in one.items()}["authorization"] for one in server.headers]


@pytest.fixture
def each_pays(app: Cabin, settings: Config) -> None:
    """Who holds no key of their own does not spend the server's, but for owners."""
    config.use(replace(settings, server_keys="owners"))


def test_two_people_spend_two_keys_and_a_third_the_server_s(
    app: Cabin, alice: Actor, bob: Actor, scripted: ModelServer
) -> None:
    model_keys.keep_key(bob, "openai", BOB_S)
    Talk(alice, preset="auto").ask("[[say Hers.]]")
    answers = Talk(bob, preset="auto").ask("[[say His.]]")
    assert bearers(scripted) == ["Bearer test-key", f"Bearer {BOB_S}"]
    assert answers[-1].data["paid"] == "own"
    model_keys.keep_key(alice, "openai", ALICE_S)
    Talk(alice, preset="auto").ask("[[say Hers again.]]")
    assert bearers(scripted)[-1] == f"Bearer {ALICE_S}"


def test_who_prompts_another_s_session_spends_its_owner_s_key(
    app: Cabin, alice: Actor, bob: Actor, scripted: ModelServer
) -> None:
    model_keys.keep_key(alice, "openai", ALICE_S)
    model_keys.keep_key(bob, "openai", BOB_S)
    talk = Talk(bob, preset="auto")
    sessions.send(alice, talk.id, [{"type": "text", "text": "[[say Yes.]]"}])
    talk.until_idle()
    assert bearers(scripted) == [f"Bearer {BOB_S}"]


def test_subagents_and_summaries_spend_the_same_key(
    app: Cabin, alice: Actor, bob: Actor, scripted: ModelServer
) -> None:
    model_keys.keep_key(bob, "openai", BOB_S)
    talk = Talk(bob, preset="auto")
    task = json.dumps({"description": "look", "prompt": "[[say Looked.]]", "subagent_type": "general"})
    talk.ask(f"[[call task {task}]]")
    sessions.summarize(bob, talk.id, "", "")
    talk.until_idle()
    assert len(scripted.headers) >= 4
    assert set(bearers(scripted)) == {f"Bearer {BOB_S}"}


def test_a_changed_key_is_used_from_the_next_call_on(app: Cabin, bob: Actor, scripted: ModelServer) -> None:
    talk = Talk(bob, preset="auto")
    for key, paid in ((BOB_S, BOB_S), (BOB_S + "-new", BOB_S + "-new"), ("", "test-key")):
        if key:
            model_keys.keep_key(bob, "openai", key)
        else:
            assert model_keys.forget(bob, "openai")
        talk.ask("[[say On.]]")
        assert bearers(scripted)[-1] == f"Bearer {paid}"


def test_a_try_after_a_replaced_key_takes_the_new_one(app: Cabin, bob: Actor, scripted: ModelServer) -> None:
    model_keys.keep_key(bob, "openai", BOB_S)
    seen = threading.Event()

    class Once(list):  # type: ignore[type-arg]
        """The first answer is a failure, and the key changes before the second is asked for."""

        def pop(self, *at: int) -> object:  # type: ignore[override]
            if not seen.is_set():
                seen.set()
                model_keys.keep_key(bob, "openai", BOB_S + "-new")
            return super().pop(*at)

    scripted.script = Once([[Fail(503)], []])
    Talk(bob, preset="auto").ask("Go on.")
    assert bearers(scripted)[:2] == [f"Bearer {BOB_S}", f"Bearer {BOB_S}-new"]


def test_a_refused_key_is_named_nowhere(
    app: Cabin, bob: Actor, scripted: ModelServer, caplog: pytest.LogCaptureFixture
) -> None:
    model_keys.keep_key(bob, "openai", BOB_S)
    scripted.script = [[Fail(401, {"error": {"message": f"Incorrect API key: {BOB_S}", "code": "invalid_api_key"}})]]
    talk = Talk(bob, preset="auto")
    answers = talk.ask("Hello.")
    assert answers[-1].data["error"]["name"] == "ProviderAuthError"
    assert BOB_S not in f"{answers} {talk.seen} {caplog.text}"


def test_nobody_else_reads_or_lists_it_not_even_an_owner(app: Cabin, alice: Actor, bob: Actor) -> None:
    model_keys.keep_key(bob, "openai", BOB_S)
    scope = f"own:{bob.user}"
    for ask in (
        lambda: secrets.reveal(alice, scope, "openai"),
        lambda: secrets.describe(alice, scope),
        lambda: secrets.delete(alice, scope, "openai"),
        lambda: secrets.put(alice, scope, "openai", "x" * 20),
        lambda: secrets.grant(alice, scope, "openai", "prj_1"),
        lambda: secrets.reveal(SYSTEM, scope, "openai"),
        lambda: secrets.reveal(bob, scope, "openai"),
    ):
        with pytest.raises(NotFound):
            ask()
    assert scope not in {one.scope for one in secrets.list_all(alice)}
    assert [one.name for one in model_keys.list_mine(alice) if one.kept] == []
    assert model_keys.holders(alice) == {"openai": ["Bob"]}
    with pytest.raises(Denied):
        model_keys.holders(bob)
    agents = accounts.acting_for(bob.user, "agent")
    for act in (lambda: model_keys.list_mine(agents), lambda: model_keys.keep_key(agents, "openai", BOB_S)):
        with pytest.raises(Denied):
            act()


def test_it_is_masked_everywhere_from_the_start_on(app: Cabin, bob: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    model_keys.keep_key(bob, "openai", BOB_S)
    monkeypatch.setattr(redact, "_live", redact.Redactor())
    assert BOB_S in redact.text(BOB_S)
    secrets.watch_all()
    assert BOB_S not in redact.text(f"It is {BOB_S}.")


def test_a_key_goes_to_no_other_address_than_the_one_it_was_given_for(
    app: Cabin, settings: Config, alice: Actor, bob: Actor, scripted: ModelServer
) -> None:
    model_keys.keep_key(bob, "openai", BOB_S)
    with ModelServer() as elsewhere:
        moved = {"provider": {"openai": {"options": {"baseURL": elsewhere.url, "apiKey": "moved-key"}}}}
        (settings.data_dir / "opencode.json").write_text(json.dumps(moved))
        Talk(bob, preset="auto").ask("[[say There.]]")
        assert bearers(elsewhere) == ["Bearer moved-key"]
    [mine] = [one for one in model_keys.list_mine(bob) if one.kept]
    assert (mine.id, mine.fits) == ("openai", False)


def test_a_provider_that_only_a_repository_names_takes_no_key(app: Cabin, bob: Actor) -> None:
    for provider in ("acme", "demo", "../openai", ""):
        with pytest.raises(Invalid):
            model_keys.keep_key(bob, provider, BOB_S)


def test_one_s_own_key_opens_a_provider_that_the_server_has_none_for(app: Cabin, alice: Actor, bob: Actor) -> None:
    model_keys.keep_key(bob, "groq", BOB_S)
    assert "groq" in {one.id for one in agent.list_providers(bob)}
    assert "groq" not in {one.id for one in agent.list_providers(alice)}
    assert agent.default_model(bob)[0] == "groq"
    assert agent.default_model(alice)[0] == "demo"


@pytest.mark.usefixtures("each_pays")
def test_where_each_pays_who_has_no_key_is_told_where_to_add_one(
    app: Cabin, alice: Actor, bob: Actor, scripted: ModelServer
) -> None:
    assert "openai" not in {one.id for one in agent.list_providers(bob)}
    assert "openai" in {one.id for one in agent.list_providers(alice)}
    answers = Talk(bob, preset="auto").ask("[[say Free.]]")
    error = answers[-1].data["error"]
    assert error["name"] == "ProviderAuthError"
    assert error["data"]["message"] == "OpenAI wants a key of your own here: add it under Account, Model keys."
    assert scripted.requests == []
    with pytest.raises(ProviderFailed):
        catalog.resolve(SYSTEM, "openai", "scripted", None, bob.user)
    model_keys.keep_key(bob, "openai", BOB_S)
    Talk(bob, preset="auto").ask("[[say Paid.]]")
    Talk(alice, preset="auto").ask("[[say Hers.]]")
    assert bearers(scripted) == [f"Bearer {BOB_S}", "Bearer test-key"]


def test_keys_go_with_their_person(either_database: db.Database, alice: Actor, bob: Actor) -> None:
    model_keys.keep_key(bob, "openai", BOB_S)
    accounts.revoke_user(alice, bob.user)
    with db.read() as conn:
        for table in (models.secrets, models.keys):
            assert conn.execute(sa.select(table).where(table.c.scope == f"own:{bob.user}")).all() == []
    with pytest.raises(NotFound):
        model_keys.keep_key(bob, "openai", BOB_S)


def test_a_key_that_is_kept_while_its_person_is_removed_is_not_left_behind(
    either_database: db.Database, alice: Actor, bob: Actor
) -> None:
    ready = threading.Barrier(2)

    def keep() -> None:
        ready.wait()
        try:
            model_keys.keep_key(bob, "openai", BOB_S)
        except NotFound:
            return

    thread = threading.Thread(target=keep)
    thread.start()
    ready.wait()
    accounts.revoke_user(alice, bob.user)
    thread.join()
    assert secrets.own_names(bob.user) == []


def test_two_browsers_that_set_it_at_once_leave_one_whole_key(either_database: db.Database, bob: Actor) -> None:
    given = [f"{BOB_S}-{number}" for number in range(8)]
    threads = [threading.Thread(target=model_keys.keep_key, args=(bob, "openai", key)) for key in given]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert json.loads(secrets.own_value(bob.user, "openai"))["key"] in given
    assert secrets.list_own(bob)[0].version == len(given)


def test_what_comes_with_a_key_has_bounds_too(app: Cabin, bob: Actor) -> None:
    login = {"type": "api", "key": BOB_S, "metadata": {"note": "x" * 20_000}}
    with pytest.raises(Invalid, match="1 to 16384 bytes"):
        model_keys.keep(bob, "openai", login)
    assert secrets.own_names(bob.user) == []


def test_rotation_covers_them(either_database: db.Database, alice: Actor, bob: Actor) -> None:
    model_keys.keep_key(bob, "openai", BOB_S)
    newest = secrets.rotate_key(alice)
    with db.read() as conn:
        assert set(conn.scalars(sa.select(models.keys.c.master_id))) == {newest}
    assert json.loads(secrets.own_value(bob.user, "openai"))["key"] == BOB_S


def test_what_is_done_with_them_is_written_down_without_them(app: Cabin, bob: Actor) -> None:
    model_keys.keep_key(bob, "openai", BOB_S)
    model_keys.forget(bob, "openai")
    assert not model_keys.forget(bob, "openai")
    with db.read() as conn:
        rows = conn.execute(sa.select(audit_rows).where(audit_rows.c.action.startswith("secrets.own"))).all()
    assert [(row.action, row.target, row.user) for row in rows] == [
        ("secrets.own_put", "openai", bob.user),
        ("secrets.own_delete", "openai", bob.user),
    ]
    assert BOB_S not in str(rows)


def test_opencode_s_auth_keeps_a_member_s_own_and_an_owner_s_for_the_server(
    app: Cabin, alice: Actor, bob: Actor, scripted: ModelServer
) -> None:
    member, owner = Caller(app, bob), Caller(app, alice)
    assert member("PUT", "/opencode/auth/groq", {"type": "api", "key": BOB_S}).json is True
    assert secrets.own_names(bob.user) == ["groq"]
    assert secrets.names(SYSTEM, "provider") == []
    [groq] = [one for one in member.get("/opencode/config/providers").json["providers"] if one["id"] == "groq"]
    assert groq["source"] == "api"
    assert "groq" in member.get("/opencode/provider").json["connected"]
    assert "groq" not in owner.get("/opencode/provider").json["connected"]
    assert member("PUT", "/opencode/auth/acme", {"type": "api", "key": BOB_S}).status_code == 400
    assert member("DELETE", "/opencode/auth/groq").json is True
    assert secrets.own_names(bob.user) == []
    assert owner("PUT", "/opencode/auth/groq", {"type": "api", "key": ALICE_S}).json is True
    assert secrets.names(SYSTEM, "provider") == ["groq"]


def test_the_page_keeps_tests_replaces_and_removes_a_key_and_never_shows_it(
    browser: Browser, alice: Actor, scripted: ModelServer
) -> None:
    at = "/account/model-keys"
    assert browser.post(at, {"provider": "openai", "key": ALICE_S}).status_code == 303
    assert "not used yet" in browser.get(at).text
    assert browser.post(f"{at}/openai/test", {}).status_code == 303
    assert bearers(scripted) == [f"Bearer {ALICE_S}"]
    shown = browser.get(at).text
    assert "answered." in shown
    assert "your key" in shown
    assert ALICE_S not in shown
    assert browser.post(at, {"provider": "openai", "key": "two words"}).status_code == 400
    assert browser.post(at, {"provider": "acme", "key": ALICE_S}).status_code == 400
    assert browser.post(f"{at}/openai/remove", {}).status_code == 303
    assert secrets.list_own(alice) == []


@pytest.mark.parametrize("word", ["README.md", "a-word-of-everybody", "2026112920261129", "sk-short-1"])
def test_a_word_that_others_write_is_no_key(bob: Actor, word: str) -> None:
    for login in ({"type": "api", "key": word}, {"type": "oauth", "access": BOB_S, "refresh": word, "expires": 0}):
        with pytest.raises(Invalid, match="16 characters"):
            model_keys.keep(bob, "openai", login)
    assert secrets.list_own(bob) == []
