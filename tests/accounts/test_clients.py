"""Access and refresh tokens: short lives, one use, and what becomes of a copied one (THREATS 1.8)."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from argon2 import PasswordHasher

from app import db, record
from app.accounts import clients, hashing, models, service
from app.accounts.clients import Tokens
from app.actor import Actor, Credentials
from app.errors import Unauthenticated
from tests.accounts.conftest import Clock, person
from tests.patience import PATIENCE

PASSWORD, HERE = "tractor-lamp-9", "10.0.0.1"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hashes of little work: these tests are about what comes after them."""
    monkeypatch.setattr(hashing, "_hasher", lambda: PasswordHasher(time_cost=1, memory_cost=64, parallelism=1))


@pytest.fixture
def owner(either_database: db.Database) -> Actor:
    """The owner, with a password, on each kind of database."""
    owner = person("ines", "owner")
    service.reset_password(owner, owner.id, PASSWORD)
    return owner


def log_in() -> Tokens:
    return service.log_in("ines@example.org", PASSWORD, HERE, "sdk/1.0")


def again(secret: str) -> Tokens:
    return service.refresh(secret, HERE)


def who(secret: str) -> Actor | None:
    return service.authenticate(Credentials(bearer=secret), address=HERE)


def actions() -> list[str]:
    with db.read() as conn:
        return list(conn.scalars(sa.select(record.audit_rows.c.action)))


def refused(*secrets: str) -> bool:
    """Whether none of the refresh tokens is worth anything."""
    for secret in secrets:
        with pytest.raises(Unauthenticated):
            again(secret)
    return True


def test_a_sign_in_gives_a_short_access_token_and_a_refresh_token(owner: Actor) -> None:
    given = log_in()
    assert (given.access[:4], given.refresh[:4], given.expires_in) == ("sca_", "scr_", 900)
    assert len(given.access) >= 47
    found = who(given.access)
    assert found is not None
    assert (found.id, found.kind, found.grants) == (owner.id, "user", ("*",))
    (device,) = service.list_devices(found)
    assert (device.kind, device.agent, device.is_current) == ("client", "sdk/1.0", True)


def test_neither_token_is_stored(owner: Actor) -> None:
    first = log_in()
    second = again(first.refresh)
    with db.read() as conn:
        tables = " ".join(str(conn.execute(sa.select(table)).all()) for table in db.metadata.sorted_tables)
    for given in (first, second):
        assert given.access not in tables
        assert given.refresh not in tables


def test_a_refresh_token_is_no_access_token_nor_the_other_way_round(owner: Actor) -> None:
    given = log_in()
    assert who(given.refresh) is None
    with pytest.raises(Unauthenticated) as caught:
        again(given.access)
    assert caught.value.message == "not a refresh token"
    assert who(given.access) is not None


def test_an_access_token_lives_fifteen_minutes(owner: Actor, clock: Clock) -> None:
    given = log_in()
    clock.pass_by(minutes=14.9)
    assert who(given.access) is not None
    clock.pass_by(minutes=0.2)
    assert who(given.access) is None
    assert who(again(given.refresh).access) is not None


def test_a_family_ends_after_thirty_days_however_often_it_is_refreshed(owner: Actor, clock: Clock) -> None:
    given = log_in()
    for _ in range(29):
        clock.pass_by(hours=24)
        given = again(given.refresh)
    clock.pass_by(hours=24)
    assert refused(given.refresh)
    log_in()
    with db.read() as conn:  # what is out of date is cleared away at the next sign-in
        assert len(conn.execute(sa.select(models.client_session)).all()) == 1
        assert len(conn.execute(sa.select(models.refresh_token)).all()) == 1


def test_a_spent_token_again_ends_the_family(owner: Actor) -> None:
    first = log_in()
    second = again(first.refresh)
    third = again(second.refresh)
    assert who(third.access) is not None
    with pytest.raises(Unauthenticated):
        again(first.refresh)
    assert refused(third.refresh, second.refresh)
    assert [who(one.access) for one in (first, second, third)] == [None] * 3
    assert actions().count("token.reuse") == 1


def test_the_newest_spent_one_gives_its_successor_for_ten_seconds(owner: Actor, clock: Clock) -> None:
    first = log_in()
    second = again(first.refresh)
    clock.pass_by(minutes=9 / 60)
    repeated = again(first.refresh)
    assert (repeated.access, repeated.refresh, repeated.expires_in) == (second.access, second.refresh, 891)
    clock.pass_by(minutes=2 / 60)
    with pytest.raises(Unauthenticated):
        again(first.refresh)
    assert refused(second.refresh)


def test_another_family_of_the_same_person_goes_on(owner: Actor) -> None:
    one, other = log_in(), log_in()
    again(again(one.refresh).refresh)
    assert refused(one.refresh)
    assert who(other.access) is not None
    again(other.refresh)


def test_a_successor_cannot_be_worked_out_from_either_side(owner: Actor) -> None:
    first = log_in()
    second = again(first.refresh)
    with db.read() as conn:
        query = sa.select(models.refresh_token.c.salt).where(models.refresh_token.c.used.is_not(None))
        salt = conn.execute(query).scalar_one()
    assert len(salt) == 64
    assert clients._derived("scr", first.refresh, salt) == second.refresh
    assert clients._derived("scr", first.refresh, "0" * 64) != second.refresh
    assert salt not in first.refresh + second.refresh


def at_once(number: int, act: Callable[[], Any]) -> list[Any]:
    """What so many threads come to that do the same at the same time."""
    found: list[Any] = []
    start = threading.Barrier(number)

    def run() -> None:
        start.wait(PATIENCE)
        try:
            found.append(act())
        except Unauthenticated as problem:
            found.append(problem.message)

    threads = [threading.Thread(target=run) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert len(found) == number
    return found


def test_twenty_refreshes_of_one_token_at_once_give_one_successor(owner: Actor) -> None:
    first = log_in()
    found = at_once(20, lambda: again(first.refresh))
    assert len({(one.access, one.refresh) for one in found}) == 1
    with db.read() as conn:
        assert len(conn.execute(sa.select(models.refresh_token)).all()) == 2
        assert len(conn.execute(sa.select(models.access_token)).all()) == 2
    again(found[0].refresh)


def test_a_thief_and_the_owner_at_once_end_the_family_for_both(owner: Actor) -> None:
    first = log_in()
    second = again(first.refresh)
    again(second.refresh)
    assert at_once(8, lambda: again(first.refresh)) == ["invalid token"] * 8
    assert actions().count("token.reuse") == 1


def test_logging_out_ends_access_at_once_and_may_be_repeated(owner: Actor) -> None:
    first = log_in()
    second = again(first.refresh)
    assert who(second.access) is not None
    service.log_out(second.refresh, HERE)
    assert (who(first.access), who(second.access)) == (None, None)
    assert refused(second.refresh)
    service.log_out(second.refresh, HERE)
    with pytest.raises(Unauthenticated):
        service.log_out("scr_of_nobody", HERE)
    assert "token.reuse" not in actions()


def test_a_device_that_is_signed_out_is_out(owner: Actor) -> None:
    kept, lost = log_in(), log_in()
    here, there = who(kept.access), who(lost.access)
    assert here is not None
    assert there is not None
    service.revoke_device(here, there.device)
    assert who(lost.access) is None
    assert refused(lost.refresh)
    assert who(kept.access) is not None
    assert service.revoke_other_devices(here) == 0


def test_a_removed_person_has_no_tokens_left(owner: Actor) -> None:
    dora = person("dora", "member")
    service.reset_password(owner, dora.id, PASSWORD)
    given = service.log_in("dora@example.org", PASSWORD, HERE)
    assert who(given.access) is not None
    service.revoke_user(owner, dora.id)
    assert who(given.access) is None
    assert refused(given.refresh)
    with db.read() as conn:
        for table in (models.client_session, models.refresh_token, models.access_token):
            assert conn.execute(sa.select(table)).all() == []
