"""A secret goes to a project's commands by a grant alone, as long as that stands, and no other way."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

import pytest

from app import db, record, redact
from app.actor import SYSTEM, Actor
from app.audit import service as audit
from app.errors import Denied, Invalid, NotFound, Unauthenticated
from app.secrets import keys, lending, models
from app.secrets import service as vault
from tests.patience import PATIENCE

VALUE = "sk-live-51H8x-the-value"
ALICE = Actor("usr_alice", "user", "usr_alice", "Alice", ("*",))
BOB = Actor("usr_bob", "user", "usr_bob", "Bob", ("sessions:*", "secrets:read"))
AGENT = Actor("run_1", "agent", "usr_alice", "Agent", ("*",))
P1, P2 = "prj_1", "prj_2"


@pytest.fixture(autouse=True)
def fresh(either_database: db.Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty vault on each database; nothing is known from another test."""
    monkeypatch.setattr(keys, "_known", {})
    monkeypatch.setattr(redact, "_live", redact.Redactor())
    monkeypatch.setattr(lending, "_told", type(lending._told)())
    monkeypatch.setattr(lending, "_find_project", lambda _actor, _project: None)


def lent(project: str = P1, run: str = "run_1") -> dict[str, str]:
    return vault.lend(project, AGENT, run)


def acts(action: str) -> list[audit.Entry]:
    return audit.entries(ALICE, [audit.Condition("action", action)])


def test_nothing_is_lent_without_a_grant_and_only_to_the_project_that_has_it() -> None:
    vault.put(ALICE, "platform", "TOKEN", VALUE)
    assert lent() == {}
    vault.grant(ALICE, "platform", "TOKEN", P1)
    assert (lent(), lent(P2)) == ({"TOKEN": VALUE}, {})
    assert redact.text(VALUE) == "[secret:TOKEN]"


def test_a_grant_ends_when_it_is_taken_away_or_its_secret_or_project_goes() -> None:
    for name in ("A_TOKEN", "B_TOKEN", "C_TOKEN"):
        vault.put(ALICE, "platform", name, VALUE + name)
        vault.grant(ALICE, "platform", name, P1)
    vault.take_away(ALICE, "platform", "A_TOKEN", P1)
    vault.delete(ALICE, "platform", "B_TOKEN")
    assert list(lent()) == ["C_TOKEN"]
    vault.put(ALICE, "platform", "B_TOKEN", VALUE)
    assert list(lent()) == ["C_TOKEN"], "one that is set anew begins without grants"
    with db.transaction() as conn:
        vault.end_of_project(conn, ALICE, P1)
    assert lent() == {}
    assert [entry.target for entry in acts("secrets.take_away")] == ["platform/C_TOKEN", "platform/A_TOKEN"]
    with pytest.raises(NotFound):
        vault.take_away(ALICE, "platform", "A_TOKEN", P1)


def test_of_one_name_the_nearest_wins() -> None:
    for scope in ("project:prj_1", "platform", "app:crm"):
        vault.put(ALICE, scope, "TOKEN", f"{VALUE}-{scope}")
        vault.grant(ALICE, scope, "TOKEN", P1)
    assert lent() == {"TOKEN": f"{VALUE}-project:prj_1"}
    vault.take_away(ALICE, "project:prj_1", "TOKEN", P1)
    assert lent() == {"TOKEN": f"{VALUE}-app:crm"}


def test_each_run_that_gets_it_is_written_down_once_for_each_value() -> None:
    vault.put(ALICE, "platform", "TOKEN", VALUE)
    vault.grant(ALICE, "platform", "TOKEN", P1)
    for _ in range(3):
        lent()
    lent(run="run_2")
    vault.put(ALICE, "platform", "TOKEN", VALUE + "2")
    assert lent(run="run_2") == {"TOKEN": VALUE + "2"}
    rows = [(entry.actor, entry.target, entry.detail["run"]) for entry in reversed(acts("secrets.lend"))]
    assert rows == [("run_1", "platform/TOKEN", run) for run in ("run_1", "run_2", "run_2")]
    assert VALUE not in repr(audit.entries(ALICE))


def test_what_could_not_be_written_down_is_not_lent_then_or_later(monkeypatch: pytest.MonkeyPatch) -> None:
    vault.put(ALICE, "platform", "TOKEN", VALUE)
    vault.grant(ALICE, "platform", "TOKEN", P1)

    def full(*_given: object) -> None:
        raise OSError("disk full")

    with monkeypatch.context() as broken:
        broken.setattr(record, "audit", full)
        for _ in range(2):
            with pytest.raises(OSError, match="disk full"):
                lent()
    assert lent() == {"TOKEN": VALUE}
    assert len(acts("secrets.lend")) == 1


def test_what_was_taken_back_before_it_was_written_down_is_written_down_the_next_time() -> None:
    vault.put(ALICE, "platform", "TOKEN", VALUE)
    vault.grant(ALICE, "platform", "TOKEN", P1)

    def broken_off() -> None:
        with db.transaction():
            lent()
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        broken_off()
    assert acts("secrets.lend") == []
    lent()
    assert len(acts("secrets.lend")) == 1


def test_what_other_rooms_hold_is_there_for_nobody_who_asks_by_name() -> None:
    admin, scope = replace(BOB, grants=("secrets:*", "others:*")), "held:github"
    vault.hold("github", "KEY", VALUE)
    asked: list[Callable[[], object]] = [
        lambda: vault.get(admin, scope, "KEY"),
        lambda: vault.names(admin, scope),
        lambda: vault.reveal(admin, scope, "KEY"),
        lambda: vault.put(admin, scope, "KEY", "another-value"),
        lambda: vault.delete(admin, scope, "KEY"),
        lambda: vault.grant(admin, scope, "KEY", P1),
    ]
    for ask in asked:
        with pytest.raises(NotFound):
            ask()
    assert vault.held("github", "KEY") == VALUE


def test_a_grant_twice_is_one() -> None:
    vault.put(ALICE, "platform", "TOKEN", VALUE)
    threads = [threading.Thread(target=vault.grant, args=(ALICE, "platform", "TOKEN", P1)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert vault.list_all(ALICE)[0].projects == (P1,)
    assert len(acts("secrets.grant")) == 1


@pytest.mark.parametrize(
    ("scope", "name", "project"),
    [
        ("provider", "openai", P1), ("user:usr_alice", "TOKEN", P1), ("project:prj_2", "TOKEN", P1),
        ("platform", "a-b", P1), ("platform", "PATH", P1), ("platform", "LD_PRELOAD", P1), ("platform", "https_proxy", P1),
        ("platform", "GIT_SSH_COMMAND", P1), ("platform", "SIGNALCABIN_X", P1), ("platform", "1TOKEN", P1),
    ],
)  # fmt: skip
def test_what_no_command_may_get_cannot_be_granted(scope: str, name: str, project: str) -> None:
    vault.put(ALICE, scope, name, VALUE)
    with pytest.raises(Invalid):
        vault.grant(ALICE, scope, name, project)
    assert lent() == {}


def test_a_value_too_short_to_be_masked_is_not_lent() -> None:
    vault.put(ALICE, "platform", "PIN", "1234567")
    with pytest.raises(Invalid, match="masked"):
        vault.grant(ALICE, "platform", "PIN", P1)
    vault.put(ALICE, "platform", "PIN", "12345678")
    vault.grant(ALICE, "platform", "PIN", P1)
    with pytest.raises(Invalid, match="masked"):
        vault.put(ALICE, "platform", "PIN", "1234567")
    assert lent() == {"PIN": "12345678"}


def test_only_those_who_write_secrets_grant_and_agents_never() -> None:
    vault.put(ALICE, "platform", "TOKEN", VALUE)
    bound = replace(ALICE, project=P1)
    for verb in (vault.grant, vault.take_away):
        for actor in (BOB, AGENT):
            with pytest.raises(Denied):
                verb(actor, "platform", "TOKEN", P1)
        with pytest.raises(NotFound):
            verb(bound, "platform", "TOKEN", P1)
        with pytest.raises(Unauthenticated):
            verb(None, "platform", "TOKEN", P1)
    vault.put(ALICE, "project:prj_2", "TOKEN", VALUE)
    with pytest.raises(NotFound):
        vault.grant(bound, "project:prj_2", "TOKEN", P2)
    with pytest.raises(NotFound):
        vault.grant(ALICE, "platform", "NONE", P1)


def test_a_project_that_is_not_there_gets_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def find(_actor: Actor, project: str) -> None:
        raise NotFound("project", project)

    vault.register_project(find)
    vault.put(ALICE, "platform", "TOKEN", VALUE)
    with pytest.raises(NotFound):
        vault.grant(ALICE, "platform", "TOKEN", "prj_none")


def test_lists_have_names_alone_and_only_what_people_set() -> None:
    vault.put(ALICE, "platform", "TOKEN", VALUE)
    vault.put(ALICE, "app:crm", "TOKEN", VALUE)
    vault.put(ALICE, "project:prj_2", "TOKEN", VALUE)
    vault.put(ALICE, "provider", "openai", VALUE)
    vault.hold("sandbox:1", "environment", VALUE)
    assert [one.scope for one in vault.list_all(ALICE)] == ["app:crm", "platform", "project:prj_2", "provider"]
    assert [one.scope for one in vault.list_all(replace(ALICE, project=P2))] == ["project:prj_2"]
    assert VALUE not in repr(vault.list_all(ALICE))


def test_what_a_project_was_lent_is_taken_out_of_what_a_model_says(either_database: db.Database) -> None:
    vault.put(ALICE, "platform", "TOKEN", VALUE)
    vault.put(ALICE, "platform", "OTHER", VALUE + "-other")
    given = {"command": f"echo {VALUE}", "more": [f"{VALUE}-other"]}
    assert vault.hide(P1, given) is given
    vault.grant(ALICE, "platform", "TOKEN", P1)
    assert vault.hide(P1, given) == {"command": "echo [secret:TOKEN]", "more": ["[secret:TOKEN]-other"]}


def test_a_value_set_in_another_process_is_masked_here_once_its_event_comes() -> None:
    vault.put(ALICE, "platform", "TOKEN", VALUE)
    redact.forget("TOKEN")
    vault._learn(vault.SecretChanged("platform", "TOKEN"))
    assert redact.text(VALUE) == "[secret:TOKEN]"
    vault._learn(vault.SecretChanged("platform", "GONE"))


def test_an_unreadable_row_does_not_keep_the_server_from_starting(caplog: pytest.LogCaptureFixture) -> None:
    vault.put(ALICE, "platform", "BAD", VALUE)
    vault.put(ALICE, "platform", "GOOD", VALUE + "good")
    with db.transaction() as conn:
        conn.execute(models.secrets.update().where(models.secrets.c.name == "BAD").values(sealed=b"x" * 40))
    redact._live.forget("GOOD")
    vault.watch_all()
    assert redact.text(VALUE + "good") == "[secret:GOOD]"
    assert "BAD can't be read" in caplog.text


def test_a_rotation_goes_on_where_it_was_broken_off(monkeypatch: pytest.MonkeyPatch) -> None:
    scopes = [f"app:a{number}" for number in range(6)]
    for scope in scopes:
        vault.put(ALICE, scope, "TOKEN", VALUE + scope)
    [old] = [key.id for key in vault.keys_in_use(ALICE)]

    def killed(done: int, _of: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        vault.rotate_key(ALICE, killed)
    current, older = vault.keys_in_use(ALICE)
    assert (current.is_current, current.scopes, older.id, older.scopes, older.is_here) == (True, 3, old, 3, True)
    for scope in scopes:
        assert vault.reveal(SYSTEM, scope, "TOKEN") == VALUE + scope
    vault.put(ALICE, "app:new", "TOKEN", VALUE)
    seen: list[tuple[int, int]] = []
    assert vault.rotate_key(ALICE, lambda done, of: seen.append((done, of))) == current.id
    assert seen == [(0, 3), (1, 3), (2, 3), (3, 3)]
    [only] = vault.keys_in_use(ALICE)
    assert (only.id, only.scopes, only.values) == (current.id, 7, 7)
    for scope in scopes:
        assert vault.reveal(SYSTEM, scope, "TOKEN") == VALUE + scope
    assert vault.rotate_key(ALICE) != current.id, "the next one is a new one"


def test_a_scope_that_cannot_be_read_holds_up_no_rotation() -> None:
    vault.put(ALICE, "app:bad", "TOKEN", VALUE)
    vault.put(ALICE, "app:good", "TOKEN", VALUE)
    with db.transaction() as conn:
        conn.execute(models.secrets.update().where(models.secrets.c.scope == "app:bad").values(sealed=b"x" * 40))
    first = vault.rotate_key(ALICE)
    assert [key.id for key in vault.keys_in_use(ALICE)] == [first]
    assert vault.rotate_key(ALICE) != first
    assert vault.reveal(SYSTEM, "app:good", "TOKEN") == VALUE
