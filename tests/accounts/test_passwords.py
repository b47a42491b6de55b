"""Signing in with a password: what is taken, what is told, and what a flood of tries comes to (THREATS 1.5 and 1.6)."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from argon2 import PasswordHasher
from argon2.low_level import Type

from app import db, ids, record
from app.accounts import failures, hashing, models, service, strength
from app.actor import Actor, Credentials
from app.errors import Denied, Invalid, Limited, NotFound, Unauthenticated
from tests.accounts.conftest import Clock, person
from tests.patience import PATIENCE
from tests.visitor import until

RIGHT, OTHER = "tractor-lamp-9", "seventeen small boats"
HERE, THERE = "10.0.0.1", "10.0.0.2"


class Counted(PasswordHasher):
    """The real hasher, which counts what it is asked."""

    def __init__(self) -> None:
        super().__init__(time_cost=1, memory_cost=64, parallelism=1)
        self.verified: list[str] = []
        self.made = 0

    def hash(self, password: str | bytes, *, salt: bytes | None = None) -> str:
        self.made += 1
        return super().hash(password, salt=salt)

    def verify(self, hash: str | bytes, password: str | bytes) -> bool:
        self.verified.append(str(hash))
        return super().verify(hash, password)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[Counted]:
    """A quick hasher in place of the real one."""
    hasher = Counted()
    monkeypatch.setattr(hashing, "_hasher", lambda: hasher)
    hashing._nobodys.cache_clear()
    yield hasher
    hashing._nobodys.cache_clear()


@pytest.fixture
def dora(alice: Actor, counted: Counted) -> Actor:
    """Dora is on the team and has a password."""
    dora = person("dora", "member")
    service.reset_password(alice, dora.id, RIGHT)
    counted.made = 0
    return dora


def sign_in(email: str = "dora@example.org", password: str = RIGHT, address: str = HERE) -> tuple[Actor, str]:
    return service.sign_in(email, password, address, "Firefox/130.0 (Linux)")


def fail(times: int = 1, address: str = HERE, email: str = "dora@example.org") -> None:
    for _ in range(times):
        with pytest.raises(service.WrongPassword):
            sign_in(email, "wrong", address)


def denials() -> list[tuple[str, str, dict[str, object]]]:
    rows = record.audit_rows.c
    with db.read() as conn:
        found = conn.execute(sa.select(rows.action, rows.target, rows.detail).where(rows.result == "denied")).all()
    return [(row.action, row.target, row.detail) for row in found]


def test_the_right_password_opens_a_browser_session(dora: Actor) -> None:
    actor, sid = sign_in(" Dora@Example.org ")
    found = service.authenticate(Credentials(cookie=sid), address=HERE)
    assert found is not None
    assert (found.id, found.kind, found.device) == (dora.id, "user", actor.device)
    (device,) = service.list_devices(found)
    assert (device.id, device.address, device.agent) == (actor.device, HERE, "Firefox/130.0 (Linux)")
    assert device.is_current


def test_passwords_are_kept_as_argon2id_hashes_alone(alice: Actor) -> None:
    dora = person("dora", "member")
    service.reset_password(alice, dora.id, RIGHT)
    with db.read() as conn:
        kept = conn.execute(sa.select(models.password.c.hash)).scalar_one()
        tables = " ".join(str(conn.execute(sa.select(table)).all()) for table in db.metadata.sorted_tables)
    assert kept.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert hashing._hasher().type is Type.ID
    assert RIGHT not in tables


def test_a_hash_of_less_work_is_made_anew_at_sign_in(dora: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    stronger = PasswordHasher(time_cost=2, memory_cost=128, parallelism=1)
    monkeypatch.setattr(hashing, "_hasher", lambda: stronger)
    sign_in()
    with db.read() as conn:
        kept = conn.execute(sa.select(models.password.c.hash)).scalar_one()
    assert not stronger.check_needs_rehash(kept)
    sign_in()


def test_unknown_and_wrong_are_told_alike_and_cost_the_same_work(dora: Actor, alice: Actor, counted: Counted) -> None:
    told, work = set(), []
    sign_in()  # the hash that stands for nobody is made once
    for email, password in [
        ("dora@example.org", "wrong"),  # hers, with another password
        ("nobody@example.org", RIGHT),  # nobody's
        ("alice@example.org", RIGHT),  # somebody's without a password
        ("not an email", RIGHT),
        ("", RIGHT),
    ]:
        counted.verified.clear()
        counted.made = 0
        with pytest.raises(service.WrongPassword) as caught:
            sign_in(email, password, f"10.1.0.{len(work)}")
        told.add((caught.value.message, caught.value.code, caught.value.status))
        work.append((len(counted.verified), counted.made))
    assert len(told) == 1
    assert work == [(1, 0)] * 5


def test_somebody_removed_is_told_what_a_stranger_is(dora: Actor, alice: Actor, counted: Counted) -> None:
    service.revoke_user(alice, dora.id)
    counted.verified.clear()
    fail()
    assert len(counted.verified) == 1
    with db.read() as conn:
        assert conn.execute(sa.select(models.password)).all() == []


def test_a_failure_is_audited_without_what_was_typed(dora: Actor) -> None:
    fail()
    fail(email="my-password-in-the-wrong-field")
    assert denials() == [("signin.password", dora.id, {}), ("signin.password", "", {})]


@pytest.mark.parametrize(
    "weak",
    ["password", "P@ssw0rd!", "12345678", "qwertyuiop", "iloveyou2", "aaaaaaaa", "abcabcabc", "1q2w3e4r", "87654321",
     "Summer2026!", "letmein123", "signalcabin1", "short", "", "dora@example.org", "Dora2026"],
)  # fmt: skip
def test_what_is_tried_first_is_refused(dora: Actor, weak: str) -> None:
    with pytest.raises(Invalid) as caught:
        service.change_password(sign_in()[0], RIGHT, weak)
    assert caught.value.field == "password"
    assert not weak or weak == "password" or weak not in caught.value.message
    sign_in()


@pytest.mark.parametrize(
    "good", ["x" * 20 + "-Y-" + "z" * 41, "k3jd92ls", "seventeen small boats", "größer als 🚂", "7391-8264"]
)
def test_what_is_not_is_taken_whatever_it_is_made_of(dora: Actor, good: str) -> None:
    strength.check(good, "dora@example.org", "Dora")


def test_a_password_has_a_longest_length(dora: Actor, counted: Counted) -> None:
    with pytest.raises(Invalid):
        service.change_password(sign_in()[0], RIGHT, "ü-" * 600)
    counted.verified.clear()
    with pytest.raises(service.WrongPassword):
        sign_in(password="x" * 1_000_000)
    assert counted.verified == []  # it is not worked on, whoever is asked for


def test_two_are_worked_on_at_once_and_a_flood_is_turned_away(dora: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    go_on, present = threading.Event(), threading.Semaphore(0)
    lock, working, most = threading.Lock(), 0, 0

    class Slow(Counted):
        def verify(self, hash: str | bytes, password: str | bytes) -> bool:
            nonlocal working, most
            with lock:
                working += 1
                most = max(most, working)
            present.release()
            assert go_on.wait(PATIENCE)
            with lock:
                working -= 1
            return super().verify(hash, password)

    monkeypatch.setattr(hashing, "_hasher", Slow)
    told: list[str] = []

    def try_it(number: int) -> None:
        try:
            sign_in(address=f"10.2.0.{number}")
            told.append("in")
        except Limited as problem:
            told.append(problem.code)

    allowed = hashing.AT_ONCE + hashing.WAITING
    threads = [threading.Thread(target=try_it, args=(number,)) for number in range(allowed)]
    for thread in threads:
        thread.start()
    for _ in range(hashing.AT_ONCE):
        assert present.acquire(timeout=PATIENCE)
    until(lambda: hashing._places._value == 0)  # the others have their places, too
    with pytest.raises(Limited) as caught:
        sign_in(address="10.2.1.1")
    assert (caught.value.status, caught.value.retry_after) == (429, 1)
    go_on.set()
    for thread in threads:
        thread.join(PATIENCE)
    assert told == ["in"] * allowed
    assert most == hashing.AT_ONCE


def test_after_ten_failures_an_account_waits_and_each_further_one_doubles_it(dora: Actor, clock: Clock) -> None:
    fail(failures.PER_ACCOUNT)
    waits = []
    for _ in range(4):
        with pytest.raises(Limited) as caught:
            sign_in()
        assert caught.value.code == "AUTH_RATE_LIMITED"
        assert isinstance(caught.value.retry_after, int)
        waits.append(caught.value.retry_after)
        clock.pass_by(minutes=caught.value.retry_after / 60)
        fail()
    assert waits == [6, 11, 21, 41]


def test_changing_the_address_does_not_help(dora: Actor, clock: Clock) -> None:
    for number in range(failures.PER_ACCOUNT):
        fail(address=f"10.3.0.{number}")
    with pytest.raises(Limited):
        sign_in(password="wrong", address="10.3.1.1")


def test_the_right_password_from_another_address_works_after_the_delay(dora: Actor, clock: Clock) -> None:
    fail(failures.PER_ACCOUNT)
    with pytest.raises(Limited) as caught:
        sign_in(address=THERE)
    assert caught.value.retry_after is not None
    clock.pass_by(minutes=caught.value.retry_after / 60)
    sign_in(address=THERE)


def test_an_account_that_nobody_has_waits_as_well(dora: Actor, clock: Clock) -> None:
    fail(failures.PER_ACCOUNT, email="nobody@example.org")
    with pytest.raises(Limited) as unknown:
        sign_in("nobody@example.org")
    fail(failures.PER_ACCOUNT, address=THERE)
    with pytest.raises(Limited) as known:
        sign_in(address=THERE)
    assert (unknown.value.message, unknown.value.retry_after) == (known.value.message, known.value.retry_after)


def test_nobody_is_locked_out_by_what_others_try(dora: Actor, alice: Actor, clock: Clock) -> None:
    actor, sid = sign_in(address=HERE)
    service.reset_password(alice, alice.id, OTHER)
    for number in range(failures.PER_ACCOUNT):
        fail(address=f"10.4.0.{number}")
    with pytest.raises(Limited):
        sign_in(address="10.4.1.1")
    service.sign_in("alice@example.org", OTHER, "10.4.1.1")  # another account
    sign_in(address=HERE)  # where she is signed in already
    assert service.authenticate(Credentials(cookie=sid), address="10.4.0.1") is not None  # her session
    service.prove(db_actor(actor, HERE), RIGHT)


def db_actor(actor: Actor, address: str) -> Actor:
    """The actor as a request from this address would have it."""
    return Actor(**{**vars(actor), "address": address})


def test_an_address_that_fails_for_many_accounts_is_limited(dora: Actor, clock: Clock) -> None:
    for number in range(failures.PER_ADDRESS):
        fail(email=f"u{number}@example.org")
    with pytest.raises(Limited):
        sign_in()
    sign_in(address=THERE)


def test_failures_from_everywhere_leave_alone_who_is_signed_in(dora: Actor, clock: Clock) -> None:
    sign_in()
    for number in range(failures.PER_SERVER):
        fail(email=f"u{number}@example.org", address=f"10.{number}.0.1")
    with pytest.raises(Limited):
        sign_in(address=THERE)
    sign_in()


def test_an_address_that_nobody_is_signed_in_from_any_more_has_no_count_of_its_own(
    alice: Actor, dora: Actor, clock: Clock
) -> None:
    sign_in()
    service.log_in("dora@example.org", RIGHT, HERE)
    fail(failures.PER_ACCOUNT, address=THERE)
    sign_in()
    for device in service.list_devices(alice, user_id=dora.id):
        service.revoke_device(alice, device.id)
    with pytest.raises(Limited):
        sign_in()


def test_a_right_password_counts_nothing(dora: Actor) -> None:
    for _ in range(3):
        sign_in()
    with db.read() as conn:
        assert conn.execute(sa.select(models.signin_failure)).all() == []


def test_failures_outlive_a_restart(dora: Actor, clock: Clock) -> None:
    fail(failures.PER_ACCOUNT)
    url = str(db.current().engine.url)
    db.current().close()
    db.use(db.Database(url))
    with pytest.raises(Limited):
        sign_in()


def test_tries_at_once_are_counted_before_they_are_made(either_database: db.Database, counted: Counted) -> None:
    alice = person("alice", "owner")
    service.reset_password(alice, alice.id, RIGHT)
    told: list[str] = []
    start = threading.Barrier(40)

    def guess() -> None:
        start.wait(PATIENCE)
        try:
            service.sign_in("alice@example.org", "wrong", HERE)
        except Unauthenticated:
            told.append("wrong")
        except Limited:
            told.append("limited")

    threads = [threading.Thread(target=guess) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert len(told) == 40
    assert told.count("wrong") <= failures.PER_ACCOUNT + hashing.AT_ONCE
    assert len(counted.verified) == told.count("wrong")


@pytest.mark.parametrize("email", ["a\0b@example.org", "x" * 10_000, "' OR 1=1 --", "%"])
def test_an_email_that_is_none_is_wrong_on_either_database(
    either_database: db.Database, counted: Counted, email: str
) -> None:
    with pytest.raises(service.WrongPassword):
        service.sign_in(email, RIGHT, HERE)
    assert len(counted.verified) == 1


def test_changing_it_wants_the_old_one_and_ends_all_other_devices(dora: Actor) -> None:
    actor, sid = sign_in()
    _, elsewhere = sign_in(address=THERE)
    tokens = service.log_in("dora@example.org", RIGHT, THERE)
    _, api = service.mint_token(actor, "laptop")
    with pytest.raises(Invalid) as caught:
        service.change_password(actor, "wrong", OTHER)
    assert caught.value.field == "old"
    assert service.authenticate(Credentials(cookie=elsewhere)) is not None
    new_sid = service.change_password(actor, RIGHT, OTHER)
    assert new_sid not in (None, sid)
    for gone in (Credentials(cookie=sid), Credentials(cookie=elsewhere), Credentials(bearer=tokens.access)):
        assert service.authenticate(gone) is None
    with pytest.raises(Unauthenticated):
        service.refresh(tokens.refresh, THERE)
    here = service.authenticate(Credentials(cookie=new_sid))
    assert here is not None
    assert here.device == actor.device
    assert service.authenticate(Credentials(bearer=api)) is not None  # it was made for a script, and is listed
    with pytest.raises(service.WrongPassword):
        sign_in()
    sign_in(password=OTHER)


def test_a_change_is_audited_and_announced(dora: Actor) -> None:
    actor, _sid = sign_in()
    sign_in(address=THERE)
    service.change_password(actor, RIGHT, OTHER)
    rows, events = record.audit_rows.c, record.events.c
    with db.read() as conn:
        (detail,) = conn.scalars(sa.select(rows.detail).where(rows.action == "password.change")).all()
        told = conn.scalars(sa.select(events.data).where(events.kind == "accounts.principal_revoked")).all()
    assert detail == {"devices": 1}
    assert {"principal": dora.id, "what": "device", "user_id": dora.id} in told


def test_the_first_password_wants_a_fresh_sign_in(alice: Actor, clock: Clock, counted: Counted) -> None:
    _, sid = service.redeem(service.sign_in_code(alice), HERE)
    clock.pass_by(minutes=16)
    actor = service.authenticate(Credentials(cookie=sid), address=HERE)
    assert actor is not None
    with pytest.raises(service.Stale):
        service.change_password(actor, "", RIGHT)
    service.prove_by_code(actor, service.sign_in_code(alice))
    service.change_password(actor, "", RIGHT)
    assert service.password_changed(actor) == ids.now()
    service.sign_in("alice@example.org", RIGHT, HERE)


def test_a_password_changed_meanwhile_opens_nothing(either_database: db.Database, counted: Counted) -> None:
    from app.accounts import passwords

    alice = person("alice", "owner")
    service.reset_password(alice, alice.id, RIGHT)
    tried = passwords.attempt("alice@example.org", RIGHT, HERE)
    service.reset_password(alice, alice.id, OTHER)
    with db.transaction() as conn:
        assert passwords.settle(conn, tried, HERE) is None


def test_only_who_outranks_somebody_resets_their_password(dora: Actor, alice: Actor) -> None:
    carol = person("carol", "admin")
    service.reset_password(carol, dora.id, OTHER)
    sign_in(password=OTHER)
    with pytest.raises(Denied):
        service.reset_password(carol, alice.id, OTHER)
    with pytest.raises(Denied):
        service.reset_password(dora, carol.id, OTHER)
    with pytest.raises(NotFound):
        service.reset_password(alice, "usr_nobody", OTHER)


def test_a_token_changes_no_password(dora: Actor) -> None:
    token = Actor("tok_1", "token", dora.id, "script", ("*",), token="tok_1")
    with pytest.raises(NotFound):
        service.change_password(token, RIGHT, OTHER)


def test_codes_and_nonces_end_with_the_password_that_was_before_them(alice: Actor, dora: Actor) -> None:
    actor, _sid = sign_in()
    for change in (
        lambda: service.change_password(actor, RIGHT, OTHER),
        lambda: service.reset_password(alice, dora.id, RIGHT),
    ):
        code, nonce = service.sign_in_code(alice, dora.id), service.hand_over(dora.id)
        change()
        with pytest.raises(Unauthenticated):
            service.redeem(code, HERE)
        with pytest.raises(Unauthenticated):
            service.take_over(nonce)


def test_a_nonce_of_somebody_removed_is_worth_nothing(alice: Actor, dora: Actor) -> None:
    nonce = service.hand_over(dora.id)
    service.revoke_user(alice, dora.id)
    with pytest.raises(Unauthenticated):
        service.take_over(nonce)


def test_a_browser_that_idled_too_long_is_no_device_of_a_member(alice: Actor, dora: Actor, clock: Clock) -> None:
    sign_in()
    devices = lambda: next(one.devices for one in service.list_members(alice) if one.user.id == dora.id)  # noqa: E731
    assert devices() == 1
    clock.pass_by(hours=24 * 5)
    assert devices() == 0
