"""Whoever connected a provider takes it back, freshly signed in, and never their last way in."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import sqlalchemy as sa

from app import config, db, ids
from app.accounts import models as accounts_models
from app.accounts import service as accounts
from app.actor import Actor
from app.dialects.mount import Cabin
from app.errors import Conflict, Denied, NotFound
from app.oidc import models, service
from app.oidc.service import Provider
from app.record import audit_rows
from tests.conftest import member
from tests.oidc.conftest import Visitor, wanted
from tests.oidc.issuer import Issuer
from tests.visitor import Browser

PASSWORD = "tractor-lamp-9"


def identify(user: Actor, provider: str, subject: str = "") -> str:
    """An identity that somebody has at a provider; its id."""
    new_id, now = ids.random("idn"), ids.now()
    row = {"id": new_id, "issuer": f"https://{provider}.example.com", "subject": subject or user.user}
    more = {"provider": provider, "user_id": user.user, "email": "bob@example.com", "created": now, "seen": now}
    with db.transaction() as conn:
        conn.execute(models.identity.insert(), {**row, **more})
    return new_id


def stand_up(actor: Actor, provider: str) -> None:
    """A provider that people can sign in with, as a row."""
    row = dict.fromkeys(("issuer", "client_id", "default_role", "role_claim", "set_by"), "x")
    lists: dict[str, object] = {"scopes": [], "role_map": {}, "ceiling": []}
    said = dataclasses.asdict(service.Metadata("x", "x", "x", "x"))
    more = {"auto_register": False, "enabled": True, "said": said, "fetched": 0, "created": 0, "updated": 0}
    with db.transaction() as conn:
        conn.execute(models.provider.insert(), {"id": provider, "name": provider.title(), **row, **lists, **more})


def test_who_connected_one_unlinks_it(app: Cabin, alice: Actor, okta: Provider) -> None:
    bob = member(alice, "Bob")
    accounts.reset_password(alice, bob.user, PASSWORD)
    identity = identify(bob, "okta")
    theirs = Browser(app, bob)
    page = theirs.get("/account").text
    assert f'action="/account/identities/{identity}/disconnect"' in page
    assert "bob@example.com" in page
    answer = theirs.post(f"/account/identities/{identity}/disconnect")
    assert answer.status_code == 303
    page = theirs.get(answer.headers["Location"]).text
    assert "You sign in by it no more." in page
    assert identity not in page
    assert 'href="/connect/okta"' in page
    with db.read() as conn:
        assert conn.scalar(sa.select(sa.func.count()).select_from(models.identity)) == 0
        row = conn.execute(audit_rows.select().where(audit_rows.c.action == "oidc.disconnect")).one()
    assert (row.user, row.target, row.detail) == (bob.user, bob.user, {"provider": "okta", "identity": identity})
    assert theirs.post(f"/account/identities/{identity}/disconnect").status_code == 404


def test_after_that_the_provider_lets_nobody_in_as_them(
    app: Cabin, alice: Actor, okta: Provider, visitor: Visitor, another: Callable[[], Visitor]
) -> None:
    assert visitor.sign_in().status_code in (302, 303)
    with db.read() as conn:
        row = conn.execute(models.identity.select()).one()
    person = accounts.find_person(row.user_id)
    assert person is not None
    accounts.reset_password(alice, person.id, PASSWORD)
    ines = Actor(person.id, "user", person.id, person.name, person.grants)
    service.disconnect(ines, row.id)
    again = another()
    again.sign_in()
    assert not again.is_signed_in


def test_the_last_way_in_stays(app: Cabin, alice: Actor, okta: Provider) -> None:
    bob = member(alice, "Bob")
    identity = identify(bob, "okta")
    [mine] = service.list_identities(bob)
    assert mine.is_last
    with pytest.raises(Conflict, match="only way in"):
        service.disconnect(bob, identity)
    theirs = Browser(app, bob)
    assert "the only way in" in theirs.get("/account").text
    answer = theirs.post(f"/account/identities/{identity}/disconnect")
    assert "changed=last-way" in answer.headers["Location"]
    assert "Set a password first." in theirs.get(answer.headers["Location"]).text
    assert len(service.list_identities(bob)) == 1


def test_what_counts_as_another_way(app: Cabin, alice: Actor, okta: Provider, issuer: Issuer) -> None:
    bob = member(alice, "Bob")
    first, second = identify(bob, "okta"), identify(bob, "azure")
    last = {one.provider: one.is_last for one in service.list_identities(bob)}
    assert last == {"okta": True, "azure": False}  # nobody signs in by the second one
    service.disconnect(bob, second)
    config.use(replace(config.current(), smtp_url="smtp://127.0.0.1:25"))
    assert not service.list_identities(bob)[0].is_last  # a link is mailed to them
    service.disconnect(bob, first)
    config.use(replace(config.current(), smtp_url=""))
    third, fourth = identify(bob, "okta", "a"), identify(bob, "okta", "b")
    service.disconnect(bob, third)
    with pytest.raises(Conflict):
        service.disconnect(bob, fourth)
    service.save_provider(alice, wanted(issuer, enabled=False))
    assert not service.list_identities(bob)[0].is_on


def test_it_wants_a_fresh_sign_in(app: Cabin, alice: Actor, okta: Provider) -> None:
    bob = member(alice, "Bob")
    accounts.reset_password(alice, bob.user, PASSWORD)
    identity = identify(bob, "okta")
    theirs = Browser(app, bob)
    with db.transaction() as conn:
        mine = accounts_models.browser_session.c.user_id == bob.user
        conn.execute(accounts_models.browser_session.update().where(mine).values(proved=0))
    answer = theirs.post(f"/account/identities/{identity}/disconnect")
    assert answer.status_code == 303
    assert answer.headers["Location"].startswith("/account/confirm?next=/account")
    assert len(service.list_identities(bob)) == 1


def test_only_ones_own_and_only_by_a_person(app: Cabin, alice: Actor, okta: Provider) -> None:
    bob, eve = member(alice, "Bob"), member(alice, "Eve")
    accounts.reset_password(alice, bob.user, PASSWORD)
    accounts.reset_password(alice, eve.user, PASSWORD)
    identity = identify(bob, "okta")
    for actor in (eve, alice):
        with pytest.raises(NotFound):
            service.disconnect(actor, identity)
    for kind in ("token", "agent"):
        with pytest.raises(Denied):
            service.disconnect(dataclasses.replace(bob, kind=kind), identity)
    assert service.list_identities(dataclasses.replace(bob, kind="token")) == []
    assert len(service.list_identities(bob)) == 1


def test_two_at_once_leave_one_way_in(either_database: db.Database, alice: Actor) -> None:
    bob = member(alice, "Bob")
    stand_up(alice, "okta")
    for _ in range(5):
        both = [identify(bob, "okta", ids.random("s")) for _ in range(2)]
        begin = threading.Barrier(2)

        def unlink(identity: str, begin: threading.Barrier = begin) -> bool:
            begin.wait()
            try:
                service.disconnect(bob, identity)
            except Conflict:
                return False
            return True

        with ThreadPoolExecutor(2) as pool:
            assert sorted(pool.map(unlink, both)) == [False, True]
        with db.transaction() as conn:
            conn.execute(models.identity.delete())


def test_the_pages_of_signing_in_name_a_provider_as_one_more_way(app: Cabin, alice: Actor) -> None:
    stand_up(alice, "okta")
    browser = Browser(app, alice)
    page = browser.get("/account/confirm").text
    assert "Continue with Okta" in page
    assert 'class="or"' not in page, "without a password there is nothing else above it"
    accounts.change_password(alice, "", PASSWORD)
    page = Browser(app, alice).get("/account/confirm").text
    assert page.index('name="password"') < page.index('<p class="or">or</p>') < page.index("Continue with Okta")
    assert "or with email" not in page
    page = app.test_client().get("/signin", headers={"Accept": "text/html"}).text
    assert page.index("Continue with Okta") < page.index("or with email") < page.index('name="email"')
