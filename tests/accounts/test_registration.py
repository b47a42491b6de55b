"""Who comes in, and how: the first person by the code, others as the settings let them (THREATS 1.2 and 1.3)."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest
import sqlalchemy as sa
from argon2 import PasswordHasher

from app import config, db, record
from app.accounts import failures, hashing, models, people, service
from app.accounts.service import Newcomer
from app.actor import Actor, Credentials
from app.errors import Denied, Invalid, Limited, Problem, Taken, Unauthenticated
from tests.accounts.conftest import Clock, person
from tests.patience import PATIENCE

PASSWORD, HERE = "tractor-lamp-9", "10.0.0.1"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hashes of little work."""
    monkeypatch.setattr(hashing, "_hasher", lambda: PasswordHasher(time_cost=1, memory_cost=64, parallelism=1))


def newcomer(name: str = "dora", code: str = "") -> Newcomer:
    return Newcomer(f"{name}@example.org", PASSWORD, name.capitalize(), code)


def let_in(how: str) -> None:
    config.use(replace(config.current(), registration=how))


def roles() -> list[str]:
    return [one.role for one in service.list_users(service.local_owner())]


def with_password() -> int:
    with db.read() as conn:
        return len(conn.execute(sa.select(models.password)).all())


def race(number: int, code: str) -> list[str]:
    """What so many registrations at once come to; each its own person, and its own address."""
    told: list[str] = []
    start = threading.Barrier(number)

    def run(one: int) -> None:
        start.wait(PATIENCE)
        try:
            service.register(None, newcomer(f"p{one}", code), f"10.0.0.{one}")
            told.append("in")
        except Problem as problem:
            told.append(problem.code)

    threads = [threading.Thread(target=run, args=(one,)) for one in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    return told


def test_twenty_at_once_without_the_code_make_nobody(either_database: db.Database) -> None:
    service.first_start()
    assert race(20, "") == ["REGISTRATION"] * 20
    assert roles() == ["owner"]
    assert with_password() == 0


def test_twenty_at_once_with_the_code_make_one_owner(either_database: db.Database) -> None:
    code = service.first_start()
    assert code is not None
    told = race(20, code)
    assert told.count("in") == 1
    assert set(told) <= {"in", "AUTH_REQUIRED", "AUTH_RATE_LIMITED", "REGISTRATION"}
    assert roles() == ["owner"]
    assert with_password() == 1


def test_the_first_person_makes_the_server_theirs(database: db.Database) -> None:
    code = service.first_start()
    assert code is not None
    assert service.sign_in_ways().is_new
    actor, sid = service.claim(newcomer("ines", code), HERE, "Firefox")
    assert (actor.name, actor.grants) == ("Ines", ("*",))
    assert service.authenticate(Credentials(cookie=sid)) is not None
    assert not service.sign_in_ways().is_new
    assert service.first_start() is None
    assert service.local_owner().name == "Ines"
    service.sign_in("ines@example.org", PASSWORD, HERE)
    with db.read() as conn:
        acts = conn.exec_driver_sql("SELECT target FROM audit WHERE action = 'server.claim'").scalars().all()
    assert acts == [actor.user]


def test_over_the_api_it_signs_nobody_in_and_still_ends_the_first_start(database: db.Database) -> None:
    code = service.first_start()
    assert code is not None
    made = service.register(None, newcomer("ines", code), HERE)
    assert (made.role, made.email, made.signed_in) == ("owner", "ines@example.org", None)
    assert service.first_start() is None
    assert not service.sign_in_ways().is_new


def test_a_wrong_code_makes_nobody_and_is_limited(database: db.Database, clock: Clock) -> None:
    service.first_start()
    for _ in range(failures.PER_ADDRESS):
        with pytest.raises(Unauthenticated):
            service.register(None, newcomer(code="in_wrong"), HERE)
    with pytest.raises(Limited):
        service.claim(newcomer(code="in_wrong"), HERE)
    assert with_password() == 0


def test_a_weak_password_spends_no_code(database: db.Database) -> None:
    code = service.first_start()
    assert code is not None
    with pytest.raises(Invalid):
        service.claim(Newcomer("ines@example.org", "password", "Ines", code), HERE)
    service.claim(newcomer("ines", code), HERE)


@pytest.fixture
def settled(alice: Actor) -> Actor:
    """Alice has signed in, so that the server is hers."""
    service.redeem(service.sign_in_code(alice), HERE)
    return alice


@pytest.mark.parametrize("how", ["invite", "closed"])
def test_after_that_nobody_registers_by_themselves(settled: Actor, how: str) -> None:
    let_in(how)
    code = service.sign_in_code(settled)
    for given in ("", code):
        with pytest.raises(Denied):
            service.register(None, newcomer(code=given), HERE)
    with pytest.raises(Denied):
        service.claim(newcomer(code=code), HERE)
    assert roles() == ["owner"]
    service.redeem(code, HERE)  # a sign-in code stays what it was


def test_open_registration_takes_in_who_holds_nothing(settled: Actor) -> None:
    let_in("open")
    made = service.register(None, newcomer(), HERE)
    assert made.role == people.BASE
    actor, _sid = service.sign_in("dora@example.org", PASSWORD, HERE)
    assert actor.grants == ("system:read", "events:read")
    rows = record.audit_rows.c
    with db.read() as conn:
        acts = list(conn.scalars(sa.select(rows.action).where(rows.user == "")))
    assert "user.create" in acts


def test_open_registration_begins_with_the_code_as_well(database: db.Database) -> None:
    let_in("open")
    service.first_start()
    with pytest.raises(Denied):
        service.register(None, newcomer(), HERE)


def test_open_registration_is_limited_by_address(settled: Actor, clock: Clock) -> None:
    let_in("open")
    for number in range(failures.PER_ADDRESS):
        service.register(None, newcomer(f"d{number}"), "10.9.0.1")
    with pytest.raises(Limited):
        service.register(None, newcomer("more"), "10.9.0.1")


@pytest.mark.parametrize("how", ["invite", "closed", "open"])
def test_who_may_write_users_makes_them_in_any_case(settled: Actor, how: str) -> None:
    let_in(how)
    assert service.register(settled, newcomer(), HERE).role == people.BASE
    service.sign_in("dora@example.org", PASSWORD, HERE)


def test_a_member_may_no_more_than_a_stranger(settled: Actor, bob: Actor) -> None:
    with pytest.raises(Denied):
        service.register(bob, newcomer(), HERE)


@pytest.mark.parametrize(
    ("email", "password", "field"),
    [
        ("", PASSWORD, "email"),
        ("  ", PASSWORD, "email"),
        ("dora", PASSWORD, "email"),
        ("d@o@ra", PASSWORD, "email"),
        ("dora@example.org", "short", "password"),
        ("dora@example.org", "password", "password"),
        ("tractor@example.org", "tractor", "password"),
        ("dora@example.org", "x" * 600 + "ü-7" * 600, "password"),
    ],
)
def test_what_does_not_fit_is_told_by_its_field(settled: Actor, email: str, password: str, field: str) -> None:
    with pytest.raises(Invalid) as caught:
        service.register(settled, Newcomer(email, password), HERE)
    assert caught.value.field == field


def test_an_email_is_taken_once_by_all_who_want_it_at_once(either_database: db.Database) -> None:
    owner = person("ines", "owner")
    told: list[str] = []
    start = threading.Barrier(4)

    def run(one: int) -> None:
        start.wait(PATIENCE)
        try:
            service.register(owner, newcomer("dora"), f"10.0.0.{one}")
            told.append("in")
        except Taken as problem:
            told.append(problem.about)

    threads = [threading.Thread(target=run, args=(one,)) for one in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert sorted(told) == ["dora@example.org"] * 3 + ["in"]
    assert with_password() == 1


def test_who_governs_is_who_may_change_people(alice: Actor, bob: Actor) -> None:
    dora = person("dora", "admin")
    assert set(service.who_governs()) == {alice.id, dora.id}
    assert not service.have_a_password([alice.id, dora.id])
    service.reset_password(alice, bob.id, PASSWORD)
    assert not service.have_a_password([alice.id, dora.id])
    service.reset_password(alice, dora.id, PASSWORD)
    assert service.have_a_password([alice.id, dora.id])


def test_the_owner_is_settled_at_the_servers_shell_alone(alice: Actor, bob: Actor) -> None:
    opened = service.sign_in_code(alice)
    new = Newcomer("ines@example.org", PASSWORD, "Ines")
    with pytest.raises(Denied):
        service.settle(bob, new)
    assert service.settle(alice, new).name == "Ines"
    assert service.first_start() is None
    with pytest.raises(Unauthenticated):
        service.redeem(opened, "127.0.0.1")
    service.sign_in("ines@example.org", PASSWORD, "127.0.0.1")
