"""A fresh sign-in: who has shown lately who they are, and how one shows it again (THREATS 4.4)."""

from __future__ import annotations

import dataclasses

import pytest
import sqlalchemy as sa
from argon2 import PasswordHasher

from app import db, record
from app.accounts import hashing, service
from app.actor import SYSTEM, Actor, Credentials
from app.errors import Invalid, Limited
from tests.accounts.conftest import Clock

PASSWORD, HERE = "tractor-lamp-9", "10.0.0.1"


@pytest.fixture
def ines(alice: Actor, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Actor:
    """The owner in a browser that she signed in with a quarter of an hour ago."""
    monkeypatch.setattr(hashing, "_hasher", lambda: PasswordHasher(time_cost=1, memory_cost=64, parallelism=1))
    service.reset_password(alice, alice.id, PASSWORD)
    _, sid = service.sign_in("alice@example.org", PASSWORD, HERE)
    found = service.authenticate(Credentials(cookie=sid), address=HERE)
    assert found is not None
    clock.pass_by(minutes=14.9)
    assert service.is_fresh(found)
    clock.pass_by(minutes=0.2)
    return found


def test_a_sign_in_is_fresh_for_a_quarter_of_an_hour(ines: Actor) -> None:
    assert not service.is_fresh(ines)
    with pytest.raises(service.Stale) as caught:
        service.require_fresh(ines)
    assert (caught.value.status, caught.value.code) == (403, "SIGN_IN_AGAIN")


def test_the_password_makes_it_fresh_again_in_this_browser_alone(ines: Actor, clock: Clock) -> None:
    _, other_sid = service.sign_in("alice@example.org", PASSWORD, HERE)
    clock.pass_by(minutes=16)
    other = service.authenticate(Credentials(cookie=other_sid), address=HERE)
    assert other is not None
    service.prove(ines, PASSWORD)
    assert service.is_fresh(ines)
    assert not service.is_fresh(other)
    rows = record.audit_rows.c
    with db.read() as conn:
        found = conn.execute(sa.select(rows.target, rows.detail).where(rows.action == "signin.again")).all()
    assert [(row.target, row.detail) for row in found] == [(ines.device, {"by": "password"})]


def test_a_wrong_password_does_not_and_is_counted(ines: Actor) -> None:
    for _ in range(10):
        with pytest.raises(Invalid):
            service.prove(ines, "wrong")
    with pytest.raises(Limited):
        service.prove(ines, PASSWORD)
    assert not service.is_fresh(ines)


def test_a_code_of_ones_own_does_too(ines: Actor, alice: Actor, bob: Actor) -> None:
    with pytest.raises(Invalid):
        service.prove_by_code(ines, service.sign_in_code(alice, bob.id))
    with pytest.raises(Invalid):
        service.prove_by_code(ines, "in_wrong")
    service.prove_by_code(ines, service.sign_in_code(alice))
    assert service.is_fresh(ines)


def test_a_client_is_asked_like_a_browser(ines: Actor, clock: Clock) -> None:
    given = service.log_in("alice@example.org", PASSWORD, HERE)
    found = service.authenticate(Credentials(bearer=given.access), address=HERE)
    assert found is not None
    assert service.is_fresh(found)
    clock.pass_by(minutes=14)
    given = service.refresh(given.refresh, HERE)
    clock.pass_by(minutes=2)
    found = service.authenticate(Credentials(bearer=given.access), address=HERE)
    assert found is not None
    assert not service.is_fresh(found)  # a refresh shows nothing of who holds it


def test_a_token_needs_its_scope_alone_and_an_agent_is_never_fresh(ines: Actor, alice: Actor) -> None:
    _, secret = service.mint_token(alice, "script")
    token = service.authenticate(Credentials(bearer=secret))
    assert token is not None
    assert service.is_fresh(token)
    assert service.is_fresh(SYSTEM)
    agent = service.acting_for(alice.id, "agent")
    assert agent is not None
    assert not service.is_fresh(agent)
    assert not service.is_fresh(dataclasses.replace(agent, kind="visitor"))


def test_a_browser_left_open_makes_no_token_and_changes_no_email(ines: Actor) -> None:
    with pytest.raises(service.Stale):
        service.mint_token(ines, "laptop")
    with pytest.raises(service.Stale):
        service.change_profile(ines, "Alice", "other@example.org")
    assert service.change_profile(ines, "Alice C", "Alice@example.org").name == "Alice C"
    service.prove(ines, PASSWORD)
    service.mint_token(ines, "laptop")
    assert service.change_profile(ines, "Alice", "other@example.org").email == "other@example.org"
