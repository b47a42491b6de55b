from __future__ import annotations

import threading
from dataclasses import replace

import pytest
import sqlalchemy as sa

from app import config, db, record
from app.accounts import failures, models, service
from app.actor import Actor, Credentials
from app.errors import Conflict, Denied, Invalid, Limited, NotFound, Unauthenticated
from tests.accounts.conftest import Clock


def by_cookie(sid: str) -> Actor | None:
    return service.authenticate(Credentials(cookie=sid), address="127.0.0.1")


def test_the_first_start_gives_the_owner_a_code(database: db.Database) -> None:
    code = service.first_start()
    assert code is not None
    actor, sid = service.redeem(code, "127.0.0.1")
    assert actor.grants == ("*",)
    found = by_cookie(sid)
    assert found is not None
    assert (found.id, found.kind, found.token) == (actor.id, "user", None)


def test_each_start_gives_a_new_code_and_ends_the_old_one(database: db.Database) -> None:
    first, second = service.first_start(), service.first_start()
    assert first
    assert second
    assert first != second
    with pytest.raises(Unauthenticated):
        service.redeem(first, "127.0.0.1")
    service.redeem(second, "127.0.0.1")
    assert service.first_start() is None


def test_starts_at_once_make_one_owner(database: db.Database) -> None:
    threads = [threading.Thread(target=service.first_start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    with db.read() as conn:
        assert conn.execute(sa.select(sa.func.count()).select_from(models.user)).scalar_one() == 1


def test_without_sign_in_there_is_an_owner_and_no_code(database: db.Database) -> None:
    config.use(replace(config.current(), auth="none"))
    assert service.first_start() is None
    assert service.authenticate(Credentials(), address="127.0.0.1") is not None
    with db.read() as conn:
        rows = conn.execute(sa.select(record.audit_rows.c.actor, record.audit_rows.c.action)).all()
    assert rows == [("system", "server.open")]


def test_a_code_is_spent_once_by_twenty_at_a_time(alice: Actor) -> None:
    code, outcomes = service.sign_in_code(alice), []

    def spend() -> None:
        try:
            service.redeem(code, "127.0.0.1")
            outcomes.append("in")
        except Unauthenticated:
            outcomes.append("refused")

    threads = [threading.Thread(target=spend) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert sorted(outcomes) == ["in"] + ["refused"] * 19


def test_a_code_lives_ten_minutes(alice: Actor, clock: Clock) -> None:
    code = service.sign_in_code(alice)
    clock.pass_by(minutes=10)
    with pytest.raises(Unauthenticated) as late:
        service.redeem(code, "127.0.0.1")
    with pytest.raises(Unauthenticated) as wrong:
        service.redeem("in_wrong", "127.0.0.1")
    assert late.value.message == wrong.value.message


def test_neither_code_nor_cookie_is_stored(alice: Actor) -> None:
    code = service.sign_in_code(alice)
    _, sid = service.redeem(code, "127.0.0.1")
    with db.read() as conn:
        tables = " ".join(str(conn.execute(sa.select(table)).all()) for table in db.metadata.sorted_tables)
    assert code not in tables
    assert sid not in tables


def test_wrong_codes_are_audited_and_then_limited(alice: Actor) -> None:
    for _ in range(failures.PER_ADDRESS):
        with pytest.raises(Unauthenticated):
            service.redeem("in_wrong", "10.0.0.9")
    with pytest.raises(Limited) as caught:
        service.redeem("in_wrong", "10.0.0.9")
    assert caught.value.retry_after is not None
    assert 1 <= caught.value.retry_after <= 601
    with db.read() as conn:
        refused = sa.select(sa.func.count()).where(record.audit_rows.c.result == "denied")
        assert conn.execute(refused).scalar_one() == failures.PER_ADDRESS
    service.redeem(service.sign_in_code(alice), "10.0.0.10")


def fail(address: str, times: int = 1) -> None:
    """Sign in with a wrong code, so many times."""
    for _ in range(times):
        with pytest.raises(Unauthenticated):
            service.redeem("in_wrong", address)


def test_failures_are_counted_across_restarts_and_processes(alice: Actor, clock: Clock) -> None:
    fail("10.0.0.9", failures.PER_ADDRESS)
    url = str(db.current().engine.url)
    db.current().close()
    db.use(db.Database(url))
    with pytest.raises(Limited):
        service.redeem("in_wrong", "10.0.0.9")


def test_the_right_code_works_again_after_ten_minutes(alice: Actor, clock: Clock) -> None:
    fail("10.0.0.9", failures.PER_ADDRESS)
    clock.pass_by(minutes=9)
    with pytest.raises(Limited) as caught:
        service.redeem(service.sign_in_code(alice), "10.0.0.9")
    assert (caught.value.retry_after, caught.value.code) == (61, "AUTH_RATE_LIMITED")
    clock.pass_by(minutes=1)
    service.redeem(service.sign_in_code(alice), "10.0.0.9")


def test_all_addresses_together_are_limited_and_no_more_is_stored(alice: Actor, clock: Clock) -> None:
    for number in range(failures.PER_SERVER):
        fail(f"10.0.{number % 250}.{number // 250}")
    for _ in range(5):
        with pytest.raises(Limited):
            service.redeem("in_wrong", "10.9.9.9")
    with db.read() as conn:
        count = sa.select(sa.func.count())
        assert conn.scalar(count.select_from(models.signin_failure)) == failures.PER_SERVER
        assert conn.scalar(count.select_from(record.audit_rows)) == failures.PER_SERVER
    clock.pass_by(minutes=10)
    fail("10.9.9.9")
    with db.read() as conn:
        assert conn.scalar(sa.select(sa.func.count()).select_from(models.signin_failure)) == 1


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("::ffff:10.0.0.9", "10.0.0.9", True),
        ("10.0.0.9", "10.0.0.8", False),
        ("", "", True),
    ],
)
def test_one_client_is_one_address_or_one_network_of_ipv6(alice: Actor, one: str, other: str, same: bool) -> None:
    fail(one, failures.PER_ADDRESS)
    with pytest.raises(Limited if same else Unauthenticated):
        service.redeem("in_wrong", other)


def test_a_sign_in_makes_a_new_session(alice: Actor) -> None:
    _, first = service.redeem(service.sign_in_code(alice), "127.0.0.1")
    _, second = service.redeem(service.sign_in_code(alice), "127.0.0.1")
    assert first != second
    assert len(second) >= 43


def test_a_session_of_one_person_lasts_thirty_days(alice: Actor, clock: Clock) -> None:
    _, sid = service.redeem(service.sign_in_code(alice), "127.0.0.1")
    clock.pass_by(hours=30 * 24 - 1)
    assert by_cookie(sid)
    clock.pass_by(hours=1)
    assert by_cookie(sid) is None


def test_a_session_in_a_team_ends_after_twelve_idle_hours(alice: Actor, bob: Actor, clock: Clock) -> None:
    _, sid = service.redeem(service.sign_in_code(alice, bob.id), "127.0.0.1")
    clock.pass_by(hours=12)
    assert by_cookie(sid) is None


def test_a_session_in_a_team_ends_after_seven_days_of_use(alice: Actor, bob: Actor, clock: Clock) -> None:
    _, sid = service.redeem(service.sign_in_code(alice, bob.id), "127.0.0.1")
    for _ in range(7 * 24 - 1):
        clock.pass_by(hours=1)
        assert by_cookie(sid)
        with db.transaction():
            pass
    clock.pass_by(hours=1)
    assert by_cookie(sid) is None


def test_a_copied_cookie_is_worth_nothing_after_sign_out(alice: Actor) -> None:
    actor, sid = service.redeem(service.sign_in_code(alice), "127.0.0.1")
    assert by_cookie(sid)
    service.sign_out(actor, sid)
    assert by_cookie(sid) is None
    service.sign_out(actor, sid)


def test_nobody_signs_another_out(alice: Actor, bob: Actor) -> None:
    _, sid = service.redeem(service.sign_in_code(alice), "127.0.0.1")
    service.sign_out(bob, sid)
    assert by_cookie(sid)


def test_one_sees_and_ends_ones_own_devices(alice: Actor, bob: Actor) -> None:
    at_home, here = service.redeem(service.sign_in_code(alice), "127.0.0.1")
    _, there = service.redeem(service.sign_in_code(alice), "10.0.0.9")
    devices = {device.address: device for device in service.list_devices(at_home)}
    assert devices["127.0.0.1"].is_current
    assert not devices["10.0.0.9"].is_current
    with pytest.raises(NotFound):
        service.revoke_device(bob, devices["10.0.0.9"].id)
    service.revoke_device(alice, devices["10.0.0.9"].id)
    assert by_cookie(there) is None
    assert by_cookie(here)
    assert service.list_devices(bob) == []


def test_a_code_needs_the_rights_of_whom_it_is_for(alice: Actor, bob: Actor) -> None:
    carol = service.create_user(alice, "Carol", "carol@example.org", "admin")
    admin = service.acting_for(carol.id, "system")
    assert admin is not None
    assert service.sign_in_code(admin, bob.id)
    with pytest.raises(Denied):
        service.sign_in_code(admin, alice.id)
    with pytest.raises(Denied):
        service.sign_in_code(bob)


def test_the_second_person_begins_team_mode_once(alice: Actor, clock: Clock) -> None:
    _, sid = service.redeem(service.sign_in_code(alice), "127.0.0.1")
    service.create_user(alice, "Bob", "Bob@Example.org", "member")
    service.create_user(alice, "Carol", None, "viewer")
    with db.read() as conn:
        acts = list(conn.execute(sa.select(record.audit_rows.c.action)).scalars())
    assert acts.count("team.begin") == 1
    clock.pass_by(hours=12)
    assert by_cookie(sid) is None


def test_an_email_is_one_persons(alice: Actor) -> None:
    made = service.create_user(alice, " Bob  B ", "Bob@Example.org", "member")
    assert (made.name, made.email) == ("Bob B", "bob@example.org")
    with pytest.raises(Conflict):
        service.create_user(alice, "Robert", "bob@example.org", "viewer")
    service.revoke_user(alice, made.id)
    service.create_user(alice, "Robert", "bob@example.org", "viewer")


@pytest.mark.parametrize(
    ("name", "email", "role"),
    [
        ("", "a@b.c", "member"),
        ("x" * 81, None, "member"),
        ("a\x00b", None, "member"),
        ("Bob", "bob", "member"),
        ("Bob", "a@b@c", "member"),
        ("Bob", None, "king"),
    ],
)
def test_it_refuses_a_bad_person(alice: Actor, name: str, email: str | None, role: str) -> None:
    with pytest.raises(Invalid):
        service.create_user(alice, name, email, role)


def test_an_admin_gives_no_more_than_it_holds(alice: Actor) -> None:
    carol = service.acting_for(service.create_user(alice, "Carol", None, "admin").id, "system")
    assert carol is not None
    service.create_user(carol, "Dan", None, "admin")
    with pytest.raises(Denied):
        service.create_user(carol, "Eve", None, "owner")
    with pytest.raises(Denied):
        service.revoke_user(carol, alice.id)


def test_a_removed_person_is_out_at_once(alice: Actor, bob: Actor) -> None:
    _, sid = service.redeem(service.sign_in_code(alice, bob.id), "127.0.0.1")
    _, secret = service.mint_token(bob, "laptop")
    code = service.sign_in_code(alice, bob.id)
    assert by_cookie(sid)
    service.revoke_user(alice, bob.id)
    assert by_cookie(sid) is None
    assert service.authenticate(Credentials(bearer=secret)) is None
    assert service.acting_for(bob.id, "agent") is None
    with pytest.raises(Unauthenticated):
        service.redeem(code, "127.0.0.1")
    with db.read() as conn:
        query = sa.select(record.events.c.data).where(record.events.c.kind == "accounts.principal_revoked")
        assert {"principal": bob.id, "what": "user", "user_id": bob.id} in conn.execute(query).scalars().all()


def test_the_last_owner_stays(alice: Actor, bob: Actor) -> None:
    with pytest.raises(Conflict):
        service.revoke_user(alice, alice.id)
    with pytest.raises(Denied):
        service.revoke_user(bob, alice.id)


def test_the_removed_are_shown_to_those_who_change_users(alice: Actor, bob: Actor, charlie: Actor) -> None:
    service.revoke_user(alice, charlie.id)
    assert [user.name for user in service.list_users(bob)] == ["Alice", "Bob"]
    assert [user.name for user in service.list_users(alice)] == ["Alice", "Bob", "Charlie"]
    with pytest.raises(Denied):
        service.list_users(charlie)


def test_an_agent_acts_with_its_persons_rights(bob: Actor) -> None:
    agent = service.acting_for(bob.id, "agent", project="prj_1", via="opencode")
    assert agent is not None
    assert (agent.user, agent.kind, agent.grants, agent.project) == (bob.id, "agent", bob.grants, "prj_1")


def test_the_commander_of_the_machine_is_the_owner(database: db.Database) -> None:
    assert service.local_owner().grants == ("*",)
    assert service.local_owner().id == service.local_owner().id
