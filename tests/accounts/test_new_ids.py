"""A browser gets a new secret when its person's rights change, and nobody is signed out by that (THREATS 1.7)."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable

import pytest

from app import csrf, db, record
from app.accounts import service
from app.accounts.events import PrincipalRevoked
from app.actor import Actor, Credentials
from app.dialects.mount import Cabin
from tests.accounts.conftest import Clock, person
from tests.conftest import member
from tests.patience import PATIENCE
from tests.visitor import Browser

HERE = "127.0.0.1"


def known(sid: str) -> Actor | None:
    return service.authenticate(Credentials(cookie=sid), address=HERE)


def signed_in(actor: Actor) -> str:
    return service.redeem(service.sign_in_code(service.local_owner(), actor.user), HERE)[1]


def give(alice: Actor, bob: Actor) -> None:
    service.assign_role(alice, bob.id, "viewer")


def take(alice: Actor, bob: Actor) -> None:
    service.revoke_role(alice, bob.id, "member")


def change(alice: Actor, bob: Actor) -> None:
    service.create_role(alice, "painter", permissions=["sessions:read"])
    service.assign_role(alice, bob.id, "painter")
    sid = signed_in(bob)
    assert service.renew_due(known(sid) or bob, sid) is None
    service.update_role(alice, "painter", permissions=["sessions:*"])


@pytest.mark.parametrize("act", [give, take, change])
def test_a_change_of_rights_makes_the_secret_due(alice: Actor, bob: Actor, act: Callable[[Actor, Actor], None]) -> None:
    sid, hers = signed_in(bob), signed_in(alice)
    assert not getattr(known(sid), "is_due", None)
    act(alice, bob)
    actor = known(sid)
    assert actor is not None
    assert actor.is_due
    fresh = service.renew_due(actor, sid)
    assert fresh is not None
    assert fresh != sid
    renewed = known(fresh)
    assert renewed is not None
    assert not renewed.is_due
    assert renewed.device == actor.device
    assert not getattr(known(hers), "is_due", None)


def test_the_former_one_is_good_for_ten_seconds_and_leads_to_the_same(alice: Actor, bob: Actor, clock: Clock) -> None:
    sid = signed_in(bob)
    give(alice, bob)
    actor = known(sid)
    assert actor is not None
    fresh = service.renew_due(actor, sid)
    clock.pass_by(minutes=9 / 60)
    again = known(sid)
    assert again is not None
    assert service.renew_due(again, sid) == fresh
    clock.pass_by(minutes=1 / 60)
    assert known(sid) is None
    assert service.renew_due(again, sid) is None
    assert known(fresh or "") is not None


def test_pages_at_once_get_one_and_the_same(either_database: object, alice: Actor, bob: Actor) -> None:
    sid, got = signed_in(bob), []
    give(alice, bob)
    actor = known(sid)
    assert actor is not None
    start = threading.Barrier(8)

    def ask() -> None:
        start.wait(PATIENCE)
        got.append(service.renew_due(actor, sid))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert len(got) == 8
    assert len(set(got)) == 1
    assert got[0]


def test_signing_out_with_the_former_one_ends_the_session_too(alice: Actor, bob: Actor) -> None:
    sid = signed_in(bob)
    give(alice, bob)
    actor = known(sid)
    assert actor is not None
    fresh = service.renew_due(actor, sid)
    service.sign_out(actor, sid)
    assert known(fresh or "") is None
    assert service.list_devices(bob) == []


def test_a_strange_secret_renews_nothing(alice: Actor, bob: Actor) -> None:
    sid = signed_in(bob)
    give(alice, bob)
    actor = known(sid)
    assert actor is not None
    assert service.renew_due(actor, "sid_strange") is None
    assert known(sid) is not None


class TestOnPages:
    @pytest.fixture
    def alice(self, app: Cabin) -> Actor:
        return service.local_owner()

    def test_it_comes_with_the_next_page_whose_forms_go_with_it(self, app: Cabin, alice: Actor) -> None:
        bob = member(alice, "Bob")
        browser = Browser(app, bob)
        before = browser.client.get_cookie("sid")
        assert before is not None
        give(alice, bob)
        assert "Set-Cookie" not in browser.get("/sessions", headers={"HX-Request": "true"}).headers
        assert "Set-Cookie" not in browser.client.get("/session").headers
        page = browser.get("/sessions")
        assert re.match(r"sid=sid_\w{64}; .*HttpOnly; Path=/; SameSite=Lax", page.headers["Set-Cookie"])
        after = browser.client.get_cookie("sid")
        assert after is not None
        assert after.value != before.value
        assert csrf.csrf_token(after.value) in page.text
        assert "Set-Cookie" not in browser.get("/sessions").headers
        assert browser.post("/signout").status_code == 303
        browser.client.set_cookie("sid", before.value)
        assert browser.get("/sessions").status_code == 303


def test_others_with_the_same_role_keep_theirs(alice: Actor, bob: Actor) -> None:
    dora = person("dora", "member")
    theirs = signed_in(dora)
    give(alice, bob)
    assert not getattr(known(theirs), "is_due", None)


def test_a_changed_password_ends_the_former_one_at_once(alice: Actor, bob: Actor) -> None:
    sid = signed_in(bob)
    give(alice, bob)
    actor = known(sid)
    assert actor is not None
    fresh = service.renew_due(actor, sid)
    assert known(sid) is not None
    newest = service.change_password(known(fresh or "") or bob, "", "seventeen small boats")
    assert [known(one or "") is not None for one in (sid, fresh, newest)] == [False, False, True]
    assert service.renew_due(actor, sid) is None
    with db.read() as conn:
        ended = conn.execute(record.events.select().where(record.events.c.kind == PrincipalRevoked.kind)).all()
    assert [(row.data["principal"], row.data["what"]) for row in ended] == [(bob.user, "device")]
