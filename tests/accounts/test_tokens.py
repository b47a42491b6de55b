from __future__ import annotations

import re
from dataclasses import replace

import pytest
import sqlalchemy as sa

from app import config, db, record
from app.accounts import grants, service
from app.actor import Actor, Credentials
from app.errors import Conflict, Denied, Invalid, NotFound
from tests.accounts.conftest import Clock


def bearer(secret: str) -> Actor | None:
    return service.authenticate(Credentials(bearer=secret), dialect="opencode", address="127.0.0.1")


def test_a_token_acts_for_its_user(bob: Actor) -> None:
    token, secret = service.mint_token(bob, "laptop")
    found = bearer(secret)
    assert found is not None
    assert (found.kind, found.id, found.token, found.user) == ("token", token.id, token.id, bob.id)
    assert grants.covers_all(found.grants, bob.grants)
    assert grants.covers_all(bob.grants, found.grants)
    assert (found.via, found.address) == ("opencode", "127.0.0.1")


def test_the_secret_is_not_stored(database: db.Database, bob: Actor) -> None:
    _, secret = service.mint_token(bob, "laptop")
    assert secret.startswith("sc_")
    with db.read() as conn:
        tables = [str(conn.execute(sa.select(table)).all()) for table in db.metadata.sorted_tables]
    assert not any(secret in text or secret[3:] in text for text in tables)


def test_a_rootcx_token_shows_its_dialect(bob: Actor) -> None:
    assert service.mint_token(bob, "crm", dialect="rootcx")[1].startswith("sc_rootcx_")


def test_an_e2b_token_has_the_form_that_its_clients_insist_on(bob: Actor) -> None:
    _, secret = service.mint_token(bob, "boxes", dialect="e2b")
    assert re.fullmatch(r"e2b_[0-9a-f]{40}", secret)
    assert bearer(secret) is not None


def test_a_lent_token_is_good_in_one_dialect_and_no_wider_than_its_lender(bob: Actor) -> None:
    _, key = service.mint_token(bob, "key", ("files:read", "system:read"))
    lender = bearer(key)
    assert lender is not None
    service.lend_token(lender, "lent", "of another room", ("files:*", "processes:*"), "prj_1", "e2b")
    assert bearer("of another room") is None
    found = service.authenticate(Credentials(bearer="of another room"), dialect="e2b")
    assert found is not None
    assert (found.user, found.grants, found.project, found.via) == (bob.id, ("files:read",), "prj_1", "e2b")


def test_a_lent_token_ends_with_the_lenders_or_by_itself(bob: Actor, clock: Clock) -> None:
    token, key = service.mint_token(bob, "key", expires=clock() + 60_000)
    lender = bearer(key)
    assert lender is not None
    first = service.lend_token(lender, "first", "one", ("*",), "prj_1", "")
    second = service.lend_token(lender, "second", "two", ("*",), "prj_1", "")
    assert first.expires == token.expires
    service.take_back(first.id)
    service.take_back(first.id)
    assert [service.is_good(one.id, secret) for one, secret in ((first, "one"), (second, "two"))] == [False, True]
    assert not service.is_good(second.id, "one")
    service.revoke_token(bob, token.id)
    assert bearer("two") is None


def test_scopes_narrow_and_never_widen(bob: Actor) -> None:
    _, secret = service.mint_token(bob, "reader", ("sessions:read",))
    found = bearer(secret)
    assert found is not None
    assert found.grants == ("sessions:read",)
    with pytest.raises(Denied):
        service.mint_token(bob, "writer", ("settings:write",))


def test_a_token_follows_its_users_role(alice: Actor, bob: Actor) -> None:
    _, secret = service.mint_token(bob, "laptop", ("sessions:*", "files:read"))
    service.set_roles(alice, bob.id, ["viewer"])
    found = bearer(secret)
    assert found is not None
    assert found.grants == ("files:read", "sessions:read")


def test_a_token_that_an_agent_holds_never_configures_whoever_it_works_for(alice: Actor, bob: Actor) -> None:
    _, secret = service.mint_token(alice, "ci agent", is_agent=True)
    agent = bearer(secret)
    assert agent is not None
    assert (agent.kind, agent.user) == ("agent", alice.id)
    assert service.may(agent, "sessions:run")
    for key in ("approvals:answer", "settings:write", "tokens:write", "users:write", "mcp:write", "secrets:read"):
        assert not service.may(agent, key)
    with pytest.raises(Denied):
        service.mint_token(agent, "mine")
    with pytest.raises(Denied):
        service.assign_role(agent, bob.id, "owner")
    assert service.lend_token(agent, "sandbox", "sce_x", ("files:*",), "prj", "e2b").is_agent


@pytest.mark.parametrize("scopes", [(), ("",), ("sessions:**",), ("x y",)])
def test_it_refuses_scopes_without_form(bob: Actor, scopes: tuple[str, ...]) -> None:
    with pytest.raises(Invalid):
        service.mint_token(bob, "laptop", scopes)


@pytest.mark.parametrize("name", ["", " ", "-x", "a\nb", "x" * 61, "<b>"])
def test_it_refuses_a_bad_name(bob: Actor, name: str) -> None:
    with pytest.raises(Invalid):
        service.mint_token(bob, name)


def test_a_name_means_one_living_token(alice: Actor, bob: Actor) -> None:
    token, _ = service.mint_token(bob, "laptop")
    with pytest.raises(Conflict):
        service.mint_token(alice, "laptop")
    service.revoke_token(bob, token.id)
    service.mint_token(alice, "laptop")


def test_it_expires(bob: Actor, clock: Clock) -> None:
    _, secret = service.mint_token(bob, "laptop", expires=clock() + 60_000)
    assert bearer(secret)
    clock.pass_by(minutes=1)
    assert bearer(secret) is None
    with pytest.raises(Invalid):
        service.mint_token(bob, "late", expires=clock())


def test_a_revoked_token_is_refused_at_once(bob: Actor) -> None:
    token, secret = service.mint_token(bob, "laptop")
    assert bearer(secret)
    service.revoke_token(bob, token.id)
    assert bearer(secret) is None
    with db.read() as conn:
        facts = conn.execute(sa.select(record.events).order_by(record.events.c.seq)).mappings().all()
    assert [fact["kind"] for fact in facts] == ["accounts.token_minted", "accounts.principal_revoked"]
    assert facts[-1]["data"] == {"principal": token.id, "what": "token", "user_id": bob.id}


def test_anothers_token_is_not_found(alice: Actor, bob: Actor, charlie: Actor) -> None:
    token, _ = service.mint_token(alice, "mine")
    with pytest.raises(NotFound):
        service.revoke_token(bob, token.id)
    with pytest.raises(Denied):
        service.mint_token(charlie, "none")


def test_the_owner_ends_anybodys_token(alice: Actor, bob: Actor) -> None:
    token, secret = service.mint_token(bob, "laptop")
    service.revoke_token(alice, token.id)
    assert bearer(secret) is None


def test_one_lists_ones_own(alice: Actor, bob: Actor) -> None:
    service.mint_token(alice, "mine")
    token, _ = service.mint_token(bob, "his")
    assert service.list_tokens(bob) == [token]
    assert {found.name for found in service.list_tokens(alice, everyone=True)} == {"mine", "his"}
    with pytest.raises(Denied):
        service.list_tokens(bob, everyone=True)


def test_a_token_of_a_project_mints_only_for_it(bob: Actor) -> None:
    _, secret = service.mint_token(bob, "bound", project="prj_1")
    bound = bearer(secret)
    assert bound is not None
    assert bound.project == "prj_1"
    assert service.mint_token(bound, "child")[0].project == "prj_1"
    with pytest.raises(Denied):
        service.mint_token(bound, "other", project="prj_2")


def test_a_token_mints_none_that_outlives_or_outdoes_it(bob: Actor, clock: Clock) -> None:
    _, secret = service.mint_token(bob, "short", ("tokens:write", "files:read"), expires=clock() + 60_000)
    short = bearer(secret)
    assert short is not None
    with pytest.raises(Denied):
        service.mint_token(short, "forever")
    child, _ = service.mint_token(short, "child", expires=clock() + 30_000)
    assert child.scopes == ("tokens:write", "files:read")


def test_an_agent_mints_none(alice: Actor) -> None:
    with pytest.raises(Denied):
        service.mint_token(replace(alice, kind="agent"), "sneaky")


def test_the_last_use_is_written_once_a_minute(bob: Actor, clock: Clock) -> None:
    _, secret = service.mint_token(bob, "laptop")
    for _ in range(3):
        bearer(secret)
        with db.transaction():
            clock.pass_by(minutes=0.3)
    first = clock() - 54_000
    assert service.list_tokens(bob)[0].last_used == first


def test_basic_takes_a_token_as_the_password(bob: Actor) -> None:
    token, secret = service.mint_token(bob, "tui")
    good = Credentials(basic_user="opencode", basic_password=secret)
    found = service.identify(good, dialect="opencode", address="127.0.0.1")
    assert found is not None
    assert (found.actor.token, found.proof) == (token.id, "basic")
    assert service.authenticate(Credentials(basic_user="root", basic_password=secret)) is None


def test_the_admin_token_has_any_form_and_is_the_owner(alice: Actor) -> None:
    config.use(replace(config.current(), admin_token="correct horse"))
    found = bearer("correct horse")
    assert found is not None
    assert (found.user, found.grants, found.kind) == (alice.id, ("*",), "token")
    assert bearer("correct horsf") is None


def test_a_port_acts_as_its_named_token(bob: Actor) -> None:
    token, _ = service.mint_token(bob, "tui", ("sessions:*",))
    found = service.identify(Credentials(port_token="tui"), dialect="opencode", address="127.0.0.1")
    assert found is not None
    assert (found.actor.token, found.actor.grants, found.proof) == (token.id, ("sessions:*",), "port")
    assert service.authenticate(Credentials(port_token="other")) is None


def test_a_port_never_exceeds_its_token_by_the_browsers_cookie(alice: Actor, bob: Actor) -> None:
    token, _ = service.mint_token(bob, "tui", ("sessions:read",))
    _, sid = service.redeem(service.sign_in_code(alice), "127.0.0.1")
    found = service.authenticate(Credentials(port_token="tui", cookie=sid))
    assert found is not None
    assert found.token == token.id


def test_a_wrong_bearer_is_not_saved_by_a_cookie(alice: Actor) -> None:
    _, sid = service.redeem(service.sign_in_code(alice), "127.0.0.1")
    assert service.authenticate(Credentials(bearer="sc_wrong", cookie=sid)) is None


@pytest.mark.parametrize("secret", ["", "sc_", "\udcff", "é" * 9000, "' OR 1=1 --"])
def test_a_strange_secret_is_nobody(alice: Actor, secret: str) -> None:
    assert bearer(secret) is None


def test_nothing_brought_is_nobody(alice: Actor) -> None:
    assert service.authenticate(Credentials(), address="127.0.0.1") is None


@pytest.mark.parametrize(
    ("address", "expected"),
    [("127.0.0.1", True), ("::1", True), ("::ffff:127.0.0.1", True), ("10.0.0.9", False), ("", False)],
)
def test_without_sign_in_only_this_machine_is_the_owner(alice: Actor, address: str, expected: bool) -> None:
    config.use(replace(config.current(), auth="none"))
    found = service.identify(Credentials(), address=address)
    assert (found is not None and found.actor.id == alice.id and found.proof == "open") is expected


def test_a_known_secret_costs_no_second_query(bob: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    _, secret = service.mint_token(bob, "laptop")
    assert bearer(secret)
    monkeypatch.setattr(db, "read", None)
    assert bearer(secret)
