"""Devices: whose they are, who else may end them, and which are still alive (THREATS 1.7)."""

from __future__ import annotations

import dataclasses

import pytest
import sqlalchemy as sa

from app import db, record
from app.accounts import service
from app.actor import Actor, Credentials
from app.errors import Denied, NotFound
from tests.accounts.conftest import Clock, person

HERE = "10.0.0.1"


def browser_of(actor: Actor, alice: Actor, agent: str = "Firefox") -> tuple[Actor, str]:
    return service.redeem(service.sign_in_code(alice, actor.id), HERE, agent)


def test_who_may_change_users_ends_anybodys_they_outrank(alice: Actor, bob: Actor) -> None:
    carol = person("carol", "admin")
    _, sid = browser_of(bob, alice)
    (device,) = service.list_devices(carol, user_id=bob.id)
    assert (device.address, device.agent, device.is_current) == (HERE, "Firefox", False)
    service.revoke_device(carol, device.id)
    assert service.authenticate(Credentials(cookie=sid)) is None
    rows, events = record.audit_rows.c, record.events.c
    with db.read() as conn:
        found = conn.execute(sa.select(rows.user, rows.target).where(rows.action == "signout")).all()
        told = conn.scalars(sa.select(events.data).where(events.kind == "accounts.principal_revoked")).all()
    assert [tuple(row) for row in found] == [(carol.id, device.id)]
    assert told == [{"principal": bob.id, "what": "device", "user_id": bob.id}]


def test_an_owners_are_out_of_an_admins_reach(alice: Actor) -> None:
    carol = person("carol", "admin")
    browser_of(alice, alice)
    (device,) = service.list_devices(alice)
    with pytest.raises(Denied):
        service.list_devices(carol, user_id=alice.id)
    with pytest.raises(Denied):
        service.revoke_device(carol, device.id)
    assert service.list_devices(alice) == [device]


def test_a_member_sees_and_ends_nobody_elses(alice: Actor, bob: Actor) -> None:
    dora = person("dora", "member")
    browser_of(dora, alice)
    (device,) = service.list_devices(dora)
    with pytest.raises(NotFound):
        service.list_devices(bob, user_id=dora.id)
    with pytest.raises(NotFound):
        service.revoke_device(bob, device.id)
    with pytest.raises(NotFound):
        service.revoke_device(bob, "dev_nobodys")


def test_all_others_end_and_the_present_one_stays(alice: Actor, bob: Actor) -> None:
    here, sid = browser_of(bob, alice)
    gone = [browser_of(bob, alice)[1] for _ in range(3)]
    assert service.revoke_other_devices(here) == 3
    assert [service.authenticate(Credentials(cookie=one)) for one in gone] == [None] * 3
    assert service.authenticate(Credentials(cookie=sid)) is not None
    assert [one.id for one in service.list_devices(here)] == [here.device]


def test_those_out_of_date_are_not_shown(alice: Actor, bob: Actor, clock: Clock) -> None:
    browser_of(bob, alice)
    clock.pass_by(hours=13)
    assert service.list_devices(bob) == []


def test_what_a_program_says_it_is_is_cut_and_made_printable(alice: Actor, bob: Actor) -> None:
    browser_of(bob, alice, "Fire\x1b[2Jfox\u202e" + "x" * 1_000)
    (device,) = service.list_devices(bob)
    assert device.agent.startswith("Fire[2Jfoxx")
    assert len(device.agent) <= 300


def test_a_token_and_an_agent_have_no_business_with_devices(alice: Actor) -> None:
    browser_of(alice, alice)
    for other in (dataclasses.replace(alice, kind="token"), service.acting_for(alice.id, "agent")):
        assert other is not None
        with pytest.raises(NotFound):
            service.list_devices(other)
        with pytest.raises(NotFound):
            service.revoke_other_devices(other)
