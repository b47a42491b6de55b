"""A link lets one person in, once, for a time, and with no more than who made it holds."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa

from app import config, db, ids
from app.accounts import service as accounts
from app.accounts.models import client_session, user
from app.actor import Actor, Credentials
from app.dialects.mount import Cabin
from app.errors import Conflict, Denied, Invalid, NotFound, Unauthenticated
from app.invites import models, service
from app.invites.service import Gone
from app.record import audit_rows
from tests.conftest import Caller, member
from tests.invites.conftest import Guest, secret_of, sessions
from tests.patience import PATIENCE

MINUTE = 60_000
HOUR = 60 * MINUTE
GENERATE, CONSUME = "/api/v1/auth/magic-link/generate", "/api/v1/auth/magic-link/consume"


def audited(action: str) -> list[Any]:
    with db.read() as conn:
        return list(conn.execute(audit_rows.select().where(audit_rows.c.action == action)))


def inviter(alice: Actor, *more: str) -> Actor:
    """Somebody who may invite and holds a little."""
    accounts.create_role(alice, "inviter", permissions=["auth.invite", "sessions:read", "system:read", *more])
    return acting(alice, accounts.create_user(alice, "Ivy", "ivy@example.com", "inviter").id)


def acting(alice: Actor, user_id: str) -> Actor:
    found = next(one for one in accounts.list_users(alice) if one.id == user_id)
    return Actor(id=found.id, kind="user", user=found.id, name=found.name, grants=found.grants)


def test_an_invited_person_comes_in_with_their_role(app: Cabin, alice: Actor) -> None:
    made = service.invite(alice, " Lena@Example.com ", ("member",))
    shown = service.look(made.secret)
    assert (shown.invite.email, shown.invite.maker, shown.is_here) == ("lena@example.com", "Owner", False)
    assert any("sessions" in words for words in shown.may)
    accepted = service.accept(made.secret, "127.0.0.1", name="Lena Ochs")
    assert accepted.opened is not None
    lena = next(one for one in accounts.list_users(alice) if one.name == "Lena Ochs")
    assert (lena.email, lena.roles) == ("lena@example.com", ("member",))
    assert service.list_invites(alice) == []
    assert [row.actor for row in audited("signin.link")] == [lena.id]


def test_of_twenty_at_once_one_comes_in(either_database: db.Database, alice: Actor) -> None:
    secret = service.invite(alice, "lena@example.com", ("member",)).secret
    outcomes: list[str] = []
    wrong: list[BaseException] = []

    def come() -> None:
        try:
            service.accept(secret, "127.0.0.1")
            outcomes.append("in")
        except Gone:
            outcomes.append("gone")
        except Exception as problem:  # noqa: BLE001 - whatever it is, the test tells it
            wrong.append(problem)

    threads = [threading.Thread(target=come) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert wrong == []
    assert sorted(outcomes) == ["gone"] * 19 + ["in"]
    assert sessions() == 1
    with db.read() as conn:
        assert conn.scalar(sa.select(sa.func.count()).select_from(user)) == 2


def test_looking_at_a_link_uses_nothing_up_and_twenty_posts_give_one_session(
    app: Cabin, call: Caller, stranger: Caller
) -> None:
    url = call.post(GENERATE, {"email": "lena@example.com", "roles": ["viewer"]}).get_json()["magicLinkUrl"]
    path, before = url[url.index("/api/v1") :], sessions()
    for method in ("HEAD", "GET", "GET", "OPTIONS"):
        assert stranger(method, path, headers={"Accept": "text/html"}).status_code in (200, 303)
    assert sessions() == before
    codes: list[int] = []

    def consume() -> None:
        codes.append(app.test_client().post(CONSUME, json={"token": secret_of(url)}).status_code)

    threads = [threading.Thread(target=consume) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert sorted(codes) == [200] + [401] * 19
    assert sessions() == before + 1


@pytest.mark.parametrize(("life", "lives"), [(72 * HOUR - 1, True), (72 * HOUR, False)])
def test_an_invite_lives_three_days(
    app: Cabin, alice: Actor, monkeypatch: pytest.MonkeyPatch, life: int, lives: bool
) -> None:
    made = service.invite(alice, "lena@example.com", ("member",))
    monkeypatch.setattr(ids, "now", lambda: made.invite.created + life)
    if lives:
        service.accept(made.secret, "127.0.0.1")
        return
    for act in (lambda: service.look(made.secret), lambda: service.accept(made.secret, "127.0.0.1")):
        with pytest.raises(Gone):
            act()
    assert sessions() == 0
    assert [one.state for one in service.list_invites(alice)] == ["ended"]


@pytest.mark.parametrize(
    ("asked", "given"), [(None, 900), (60, 60), (1, 60), (-5, 60), (86_400, 86_400), (10**9, 86_400), (600, 600)]
)
def test_a_programs_link_lives_as_long_as_it_asks_within_bounds(
    call: Caller, stranger: Caller, monkeypatch: pytest.MonkeyPatch, asked: int | None, given: int
) -> None:
    now = ids.now()
    monkeypatch.setattr(ids, "now", lambda: now)
    body = {"email": "lena@example.com"} | ({"expiresInSeconds": asked} if asked is not None else {})
    answer = call.post(GENERATE, body)
    assert answer.status_code == 201
    token = secret_of(answer.get_json()["magicLinkUrl"])
    monkeypatch.setattr(ids, "now", lambda: now + given * 1000 - 1)
    with db.read() as conn:
        assert conn.execute(sa.select(models.link.c.expires)).scalar() == now + given * 1000
    monkeypatch.setattr(ids, "now", lambda: now + given * 1000)
    late = stranger.post(CONSUME, {"token": token})
    assert late.status_code == 401
    assert late.get_json() == stranger.post(CONSUME, {"token": "made-up"}).get_json(), "nothing says why"


def test_a_program_gets_what_the_document_says(call: Caller, stranger: Caller, app: Cabin) -> None:
    body = {
        "email": " Lena@Example.com",
        "roles": ["viewer", "viewer"],
        "redirectUri": "https://app.example.com/in?x=1",
    }
    answer = call.post(GENERATE, body)
    assert answer.status_code == 201
    made = answer.get_json()
    assert set(made) == {"magicLinkUrl", "expiresAt"}
    assert made["magicLinkUrl"].startswith("http://127.0.0.1:0/api/v1/auth/magic-link/consume?token=inv_")
    assert made["expiresAt"].endswith("+00:00")
    token = secret_of(made["magicLinkUrl"])
    assert stranger.get(f"{CONSUME}?token={token}").status_code == 405
    came = stranger.post(CONSUME, {"token": token}).get_json()
    assert set(came) == {"accessToken", "refreshToken", "expiresIn", "user", "redirectUri"}
    assert came["redirectUri"] == "https://app.example.com/in?x=1"
    assert came["user"]["email"] == "lena@example.com"
    held = stranger.get("/api/v1/permissions", headers={"Authorization": f"Bearer {came['accessToken']}"}).get_json()
    assert held["roles"] == ["viewer"]


@pytest.mark.parametrize(
    "body",
    [
        {}, {"email": "nobody"}, {"email": ""}, {"email": 7}, {"email": "a@b.example", "roles": ["made-up"]}, {"email": "a@b.example", "roles": "viewer"},
        {"email": "a@b.example", "roles": [f"r{n}" for n in range(33)]}, {"email": "a@b.example", "redirectUri": "javascript:alert(1)"},
        {"email": "a@b.example", "redirectUri": "https://user:word@b.example"}, {"email": "a@b.example", "redirectUri": "//b.example"},
        {"email": "a@b.example", "redirectUri": "http://["}, {"email": "a@b.example", "redirectUri": "https://:word@b.example"},
        {"email": "a@b.example", "expiresInSeconds": "soon"}, {"email": "a@b.example", "expiresInSeconds": 10**30}, {"email": "a\n@b.example"}, [],
    ],
    ids=str,
)  # fmt: skip
def test_what_has_not_the_form_is_told_plainly(call: Caller, body: Any) -> None:
    answer = call.post(GENERATE, body)
    assert answer.status_code == 400
    assert set(answer.get_json()) == {"error"}


@pytest.mark.parametrize("body", [{}, {"token": 7}, {"token": "x" * 5000}, []], ids=["none", "number", "long", "list"])
def test_no_token_is_told_plainly_too(stranger: Caller, body: Any) -> None:
    assert stranger.post(CONSUME, body).status_code == 400


@pytest.mark.parametrize("token", ["", "made-up", "inv_" + "x" * 43, "inv_\u0000", "x" * 4000])
def test_what_is_no_link_lets_nobody_in(stranger: Caller, token: str) -> None:
    answer = stranger.post(CONSUME, {"token": token})
    assert answer.status_code == 401
    assert answer.get_json() == {"error": str(Gone())}


def test_who_tries_too_often_has_to_wait(stranger: Caller, call: Caller) -> None:
    url = call.post(GENERATE, {"email": "lena@example.com"}).get_json()["magicLinkUrl"]
    for _ in range(30):
        assert stranger.post(CONSUME, {"token": "made-up"}).status_code == 401
    answer = stranger.post(CONSUME, {"token": secret_of(url)})
    assert answer.status_code == 429
    assert int(answer.headers["Retry-After"]) > 0
    assert len([row for row in audited("signin.link") if row.result == "denied"]) == 30


def test_nobody_gives_more_than_they_hold(app: Cabin, alice: Actor, bob: Actor, charlie: Actor) -> None:
    ivy = inviter(alice, "events:read")
    for act in (service.invite, service.generate):
        with pytest.raises(Denied):
            act(ivy, "lena@example.com", ("member",))
        with pytest.raises(Denied):
            act(ivy, "lena@example.com", ("inviter", "admin"))
        for nobody in (bob, charlie, replace(alice, kind="agent", id="agent:1")):
            with pytest.raises(Denied):
                act(nobody, "lena@example.com", ())
    made = service.generate(ivy, "lena@example.com", ("inviter",))
    assert service.accept(made.secret, "127.0.0.1").person.roles == ("inviter",)
    made = service.generate(ivy, "nora@example.com")
    assert service.accept(made.secret, "127.0.0.1").person.roles == ("base",)
    with pytest.raises(Unauthenticated):
        service.invite(None, "lena@example.com", ())


def test_a_link_is_no_way_into_somebody_elses_account(app: Cabin, alice: Actor) -> None:
    accounts.create_user(alice, "Mei", "mei@example.com", "admin")
    admin = acting(alice, accounts.create_user(alice, "Ada", "ada@example.com", "admin").id)
    ivy = inviter(alice)
    boss = accounts.create_user(alice, "Boss", "boss@example.com", "owner")
    for maker, address in ((ivy, "mei@example.com"), (admin, "boss@example.com"), (ivy, "boss@example.com")):
        with pytest.raises(Denied):
            service.generate(maker, address)
        with pytest.raises(Conflict):
            service.invite(maker, address, ())
    assert service.accept(service.generate(alice, "boss@example.com").secret, "127.0.0.1").person.id == boss.id
    made = service.generate(admin, "mei@example.com")
    accounts.set_roles(alice, service.look(made.secret) and next(
        one.id for one in accounts.list_users(alice) if one.name == "Mei"
    ), ["owner"])  # fmt: skip
    with pytest.raises(Gone):
        service.accept(made.secret, "127.0.0.1")


def test_an_invite_of_somebody_who_came_in_meanwhile_lets_only_their_better_in_their_place(
    app: Cabin, alice: Actor
) -> None:
    ivy = inviter(alice)
    made = service.invite(ivy, "lena@example.com", ())
    accounts.create_user(alice, "Lena", "lena@example.com", "member")
    with pytest.raises(Gone):
        service.accept(made.secret, "127.0.0.1")
    assert sessions() == 0


def test_roles_are_added_to_who_is_here(app: Cabin, alice: Actor) -> None:
    mei = accounts.create_user(alice, "Mei", "mei@example.com", "viewer")
    accounts.create_role(alice, "release", permissions=["approvals:answer"])
    accepted = service.accept(service.generate(alice, "mei@example.com", ("release", "viewer")).secret, "127.0.0.1")
    assert accepted.person.id == mei.id
    assert accepted.person.roles == ("viewer", "release")


def losses() -> dict[str, Callable[[Actor, Actor], None]]:
    return {
        "is removed": lambda alice, ada: accounts.revoke_user(alice, ada.id),
        "may not invite any more": lambda alice, ada: accounts.set_roles(alice, ada.id, ["member"]),
        "holds less": lambda alice, ada: accounts.set_roles(alice, ada.id, ["viewer"]),
    }


@pytest.mark.parametrize("lose", losses().values(), ids=losses())
def test_a_link_ends_with_the_rights_of_who_made_it(
    app: Cabin, alice: Actor, lose: Callable[[Actor, Actor], None]
) -> None:
    ada = acting(alice, accounts.create_user(alice, "Ada", "ada@example.com", "admin").id)
    made = service.invite(ada, "lena@example.com", ("member",))
    lose(alice, ada)
    with pytest.raises(Gone):
        service.accept(made.secret, "127.0.0.1")
    assert sessions() == 0
    assert all(one.email != "lena@example.com" for one in accounts.list_users(alice))


def test_a_new_link_ends_the_old_one(app: Cabin, alice: Actor) -> None:
    first = service.invite(alice, "lena@example.com", ("member",))
    second = service.resend(alice, first.invite.id)
    third = service.invite(alice, "lena@example.com", ("viewer",))
    for old in (first, second):
        with pytest.raises(Gone):
            service.accept(old.secret, "127.0.0.1")
    assert [one.id for one in service.list_invites(alice)] == [third.invite.id]
    assert service.accept(third.secret, "127.0.0.1").person.roles == ("viewer",)
    with pytest.raises(NotFound):
        service.resend(alice, third.invite.id)


def test_a_revoked_link_lets_nobody_in(app: Cabin, alice: Actor) -> None:
    made = service.invite(alice, "lena@example.com", ("member",))
    service.revoke(alice, made.invite.id)
    with pytest.raises(Gone):
        service.accept(made.secret, "127.0.0.1")
    with pytest.raises(NotFound):
        service.revoke(alice, made.invite.id)
    assert len(audited("invite.revoke")) == 1


def test_who_may_invite_sees_and_ends_their_own_alone(app: Cabin, alice: Actor, bob: Actor) -> None:
    ivy = inviter(alice)
    theirs, mine = service.invite(alice, "a@example.com", ()), service.invite(ivy, "b@example.com", ())
    assert [one.email for one in service.list_invites(ivy)] == ["b@example.com"]
    assert {one.email: one.maker for one in service.list_invites(alice)} == {
        "a@example.com": "Owner", "b@example.com": "Ivy",
    }  # fmt: skip
    for act in (service.revoke, service.resend):
        with pytest.raises(NotFound):
            act(ivy, theirs.invite.id)
        with pytest.raises(NotFound):
            act(ivy, "inv_made_up")
        with pytest.raises(Denied):
            act(bob, mine.invite.id)
    service.revoke(alice, mine.invite.id)


def test_the_secret_is_stored_and_logged_nowhere(app: Cabin, alice: Actor) -> None:
    secret = service.invite(alice, "lena@example.com", ("member",)).secret
    with db.read() as conn:
        rows = str(conn.execute(models.link.select()).all()) + str(conn.execute(audit_rows.select()).all())
    assert secret not in rows


def test_a_password_may_be_set_on_the_way_in(app: Cabin, alice: Actor) -> None:
    made = service.invite(alice, "lena@example.com", ("member",))
    for weak in ("short", "password", "lena@example.com"):
        with pytest.raises(Invalid):
            service.accept(made.secret, "127.0.0.1", password=weak)
    service.accept(made.secret, "127.0.0.1", password="a long and good one")
    actor, _sid = accounts.sign_in("lena@example.com", "a long and good one", "127.0.0.1")
    assert actor.name == "lena"


def test_nobody_here_gets_a_password_by_a_link(app: Cabin, alice: Actor) -> None:
    accounts.create_user(alice, "Mei", "mei@example.com", "viewer")
    made = service.generate(alice, "mei@example.com")
    service.accept(made.secret, "127.0.0.1", password="a long and good one")
    with pytest.raises(accounts.WrongPassword):
        accounts.sign_in("mei@example.com", "a long and good one", "127.0.0.1")


def test_a_bad_name_uses_nothing_up(app: Cabin, alice: Actor) -> None:
    made = service.invite(alice, "lena@example.com", ())
    with pytest.raises(Invalid):
        service.accept(made.secret, "127.0.0.1", name="x" * 81)
    service.accept(made.secret, "127.0.0.1", name="Lena")


def test_a_client_that_came_by_a_link_is_listed_as_one(call: Caller, stranger: Caller) -> None:
    url = call.post(GENERATE, {"email": "lena@example.com"}).get_json()["magicLinkUrl"]
    stranger.post(CONSUME, {"token": secret_of(url)})
    with db.read() as conn:
        assert conn.scalar(sa.select(sa.func.count()).select_from(client_session)) == 1


def test_a_member_makes_no_links_over_the_api(app: Cabin, alice: Actor, stranger: Caller) -> None:
    body = {"email": "lena@example.com"}
    assert Caller(app, member(alice, "Bob")).post(GENERATE, body).status_code == 403
    assert stranger.post(GENERATE, body).status_code == 401


def test_a_guest_is_a_guest_until_they_press(guest: Guest, alice: Actor) -> None:
    url = service.url_of(service.invite(alice, "lena@example.com", ("member",)))
    assert "Join as lena@example.com" in guest.open(url[url.index("/join") :]).text
    assert not guest.is_signed_in


def test_a_token_makes_no_link_into_its_own_account_that_holds_more(app: Cabin, alice: Actor) -> None:
    ada = acting(alice, accounts.create_user(alice, "Ada", "ada@example.com", "admin").id)
    for scopes in (("auth.invite",), ("users:*", "auth.invite")):
        token = replace(ada, id="tok_1", kind="token", token="tok_1", grants=scopes)
        with pytest.raises(Denied):
            service.generate(token, "ada@example.com")
    whole = replace(ada, id="tok_2", kind="token", token="tok_2")
    for maker in (whole, ada):
        assert service.accept(service.generate(maker, "ada@example.com").secret, "127.0.0.1").person.id == ada.id


@pytest.mark.parametrize("make", [service.invite, service.generate])
def test_whoever_takes_an_invited_address_gets_nothing_that_was_meant_for_it(
    app: Cabin, alice: Actor, bob: Actor, make: Callable[..., Any]
) -> None:
    made = [make(alice, email, ("admin",)).secret for email in ("lena@example.com", "nora@example.com")]
    accounts.change_profile(bob, "Bob", "Lena@example.com")
    accounts.redeem(accounts.sign_in_code(alice), "127.0.0.1")
    config.use(replace(config.current(), registration="open"))
    accounts.register(None, accounts.Newcomer("nora@example.com", "seventeen small boats"), "127.0.0.1")
    for secret in made:
        with pytest.raises(Gone):
            service.accept(secret, "127.0.0.1")
    assert {one.email: one.roles for one in accounts.list_users(alice) if one.email} == {
        "lena@example.com": ("member",),
        "nora@example.com": ("base",),
    }
    assert len(audited("invite.revoke")) == 2


def test_a_name_that_is_changed_ends_no_link(app: Cabin, alice: Actor, bob: Actor) -> None:
    made = service.generate(alice, "bob@example.com")
    accounts.change_profile(bob, "Bobby", "bob@example.com")
    assert service.accept(made.secret, "127.0.0.1").person.id == bob.id


def test_null_for_its_life_is_as_good_as_nothing(call: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    now = ids.now()
    monkeypatch.setattr(ids, "now", lambda: now)
    body = {"email": "lena@example.com", "expiresInSeconds": None, "redirectUri": None, "tokenDelivery": None}
    assert call.post(GENERATE, body).status_code == 201
    with db.read() as conn:
        assert conn.execute(sa.select(models.link.c.expires)).scalar() == now + 900_000


@pytest.mark.parametrize(
    ("scopes", "project"),
    [(("auth.invite",), None), (("users:write", "users:read"), None), (("*",), "prj_one")],
    ids=["to invite alone", "for people alone", "for one project"],
)
def test_a_token_that_comes_less_far_makes_no_link_for_its_own_person(
    app: Cabin, alice: Actor, scopes: tuple[str, ...], project: str | None
) -> None:
    ada = acting(alice, accounts.create_user(alice, "Ada", "ada@example.com", "admin").id)
    _token, secret = accounts.mint_token(ada, "narrow", scopes, project=project)
    narrow = accounts.authenticate(Credentials(bearer=secret))
    assert narrow is not None
    with pytest.raises(Denied):
        service.generate(narrow, "ada@example.com")
    _token, secret = accounts.mint_token(ada, "wide")
    wide = accounts.authenticate(Credentials(bearer=secret))
    for maker in (wide, ada):
        assert service.accept(service.generate(maker, "ada@example.com").secret, "127.0.0.1").person.id == ada.id


def ends() -> dict[str, Callable[[Actor, str], None]]:
    return {
        "was removed": accounts.revoke_user,
        "got a new password": lambda alice, mei: accounts.reset_password(alice, mei, "tractor-lamp-9"),
    }


@pytest.mark.parametrize("end", ends().values(), ids=ends())
def test_a_link_of_before_lets_nobody_in_who(
    either_database: db.Database, alice: Actor, monkeypatch: pytest.MonkeyPatch, end: Callable[[Actor, str], None]
) -> None:
    clock = [ids.now()]
    monkeypatch.setattr(ids, "now", lambda: clock[0])
    invited = service.invite(alice, "mei@example.com", ("member",))
    mei = accounts.create_user(alice, "Mei", "mei@example.com", "viewer")
    before = [invited, service.generate(alice, "mei@example.com"), service.generate(alice, "lena@example.com")]
    clock[0] += 1
    end(alice, mei.id)
    for made in before[:2]:
        with pytest.raises(Gone):
            service.look(made.secret)
        with pytest.raises(Gone):
            service.accept(made.secret, "127.0.0.1")
    assert sessions() == 0
    assert service.accept(before[2].secret, "127.0.0.1").person.email == "lena@example.com", (
        "it is nobody else's affair"
    )
    clock[0] += 1
    assert service.accept(service.resend(alice, invited.invite.id).secret, "127.0.0.1").person.email == mei.email
    assert service.accept(service.generate(alice, "mei@example.com").secret, "127.0.0.1").person.email == mei.email


def test_who_comes_by_two_links_at_once_is_one_person(
    app: Cabin, alice: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = (service.generate(alice, "lena@example.com", (role,)) for role in ("viewer", "member"))
    service.accept(one.secret, "127.0.0.1")
    look_up, looks = accounts.find_person_by_email, iter([None])
    # The other one looked just before they were there.
    monkeypatch.setattr(accounts, "find_person_by_email", lambda email: next(looks, look_up(email)))
    assert service.accept(other.secret, "127.0.0.1").person.roles == ("viewer", "member")
    assert [user.email for user in accounts.list_users(alice)].count("lena@example.com") == 1
