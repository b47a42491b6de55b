"""The pages of members: people and their roles, the matrix of roles, and why somebody may do something."""

from __future__ import annotations

import html
import re
from typing import Any
from urllib.parse import unquote

import pytest

from app import db
from app.accounts import models, service
from app.actor import Actor
from app.dialects.mount import Cabin
from tests.conftest import Caller, member
from tests.visitor import Browser


@pytest.fixture
def bob(alice: Actor) -> Actor:
    return member(alice, "Bob")


@pytest.fixture
def hers(browser: Browser) -> Browser:
    """Alice's browser."""
    return browser


@pytest.fixture
def viewers(app: Cabin, alice: Actor) -> Browser:
    """The browser of somebody who only reads."""
    return Browser(app, member(alice, "Vera", "viewer"))


def roles_of(alice: Actor, user_id: str) -> tuple[str, ...]:
    return next(one.user.roles for one in service.list_members(alice) if one.user.id == user_id)


def words(answer: Any) -> str:
    """The text of a page without its tags."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", answer.text)).split())


def test_everybody_stands_there_with_their_roles(hers: Browser, alice: Actor, bob: Actor) -> None:
    service.create_role(alice, "release", permissions=["others:approvals:answer"])
    service.assign_role(alice, bob.id, "release")
    said = words(hers.get("/members"))
    assert "Bob bob@example.com member release" in said
    assert "Alice alice@example.org, you owner" in said


def test_roles_are_given_and_taken_by_ticks(hers: Browser, alice: Actor, bob: Actor) -> None:
    answer = hers.post(f"/members/{bob.id}/roles", {"role": ["viewer", "admin"]})
    assert (answer.status_code, answer.headers["Location"]) == (303, f"/members?person={bob.id}&told=roles")
    assert set(roles_of(alice, bob.id)) == {"viewer", "admin"}
    assert "It holds from Bob's next request on" in words(hers.get(answer.headers["Location"]))
    hers.post(f"/members/{bob.id}/roles", {})
    assert roles_of(alice, bob.id) == ()


def test_a_change_that_is_refused_is_told_and_nothing_of_it_done(app: Cabin, alice: Actor, bob: Actor) -> None:
    admin = Browser(app, member(alice, "Ada", "admin"))
    answer = admin.post(f"/members/{bob.id}/roles", {"role": ["viewer", "owner"]})
    assert answer.status_code == 403
    assert "You can give, make and change only rights that you hold; owner has more." in words(answer)
    assert roles_of(alice, bob.id) == ("member",)
    answer = Browser(app, alice).post(f"/members/{alice.user}/roles", {"role": "admin"})
    assert (answer.status_code, "The last owner cannot be removed." in words(answer)) == (409, True)


def test_it_says_why_somebody_may_do_something(hers: Browser, alice: Actor, bob: Actor) -> None:
    service.create_role(alice, "ops", permissions=["audit:*"])
    service.create_role(alice, "leads", inherits=["ops"])
    service.assign_role(alice, bob.id, "leads")
    said = words(hers.get(f"/members?person={bob.id}&key=audit:read"))
    assert "has the role leads which inherits ops which holds audit:* and that covers audit:read" in said
    said = words(hers.get(f"/members?person={bob.id}&key=settings:write"))
    assert "None of Bob 's roles holds settings:write" in said.replace("Bob's", "Bob 's")


def test_somebody_is_taken_off_once_their_name_is_typed(hers: Browser, alice: Actor, bob: Actor) -> None:
    service.mint_token(bob, "laptop")
    assert "At once 1 token and 0 devices end" in words(hers.get(f"/members?person={bob.id}"))
    answer = hers.post(f"/members/{bob.id}/remove", {"typed": "bob"})
    assert (answer.status_code, "Type Bob to take them off." in words(answer)) == (400, True)
    assert roles_of(alice, bob.id) == ("member",)
    assert hers.post(f"/members/{bob.id}/remove", {"typed": "Bob"}).status_code == 303
    assert [one.user.name for one in service.list_members(alice)] == [alice.name]


def test_a_viewer_sees_and_cannot_change(viewers: Browser, alice: Actor, bob: Actor) -> None:
    service.create_role(alice, "ops", permissions=["audit:read"])
    for path in ("/members", f"/members?person={bob.id}&key=files:read", "/members/roles", "/members/roles?role=ops"):
        page = viewers.get(path)
        assert page.status_code == 200
        posts = re.findall(r'<form[^>]*method="post"[^>]*action="(/members[^"]*)"', page.text)
        assert ("Bob" in page.text or "roles" in path, [one for one in posts if one != "/members/roles/matrix"]) == (
            True,
            [],
        )
        assert 'type="checkbox" name="held"' not in page.text
    for path, fields in (
        (f"/members/{bob.id}/roles", {"role": "owner"}),
        (f"/members/{bob.id}/remove", {"typed": "Bob"}),
        ("/members/roles", {"name": "x"}),
        ("/members/roles/ops", {"save": "yes", "permissions": "*"}),
        ("/members/roles/ops/delete", {}),
        ("/members/roles/matrix", {"save": "yes", "held": "users:write ops"}),
    ):
        assert viewers.post(path, fields).status_code == 403, path
    assert roles_of(alice, bob.id) == ("member",)
    assert [role.permissions for role in service.list_roles(alice) if role.name == "ops"] == [("audit:read",)]


def test_who_may_not_see_people_sees_no_page_and_no_way_to_it(app: Cabin, alice: Actor) -> None:
    browser = Browser(app, member(alice, "Basil", "base"))
    assert browser.get("/members").status_code == 403
    assert 'href="/members"' not in browser.get("/account").text


def test_a_form_without_its_token_changes_nothing(hers: Browser, alice: Actor, bob: Actor) -> None:
    assert hers.post(f"/members/{bob.id}/roles", {"role": "owner"}, token="wrong").status_code == 403
    assert roles_of(alice, bob.id) == ("member",)


@pytest.mark.parametrize("path", ["/members?person=usr_nobody", "/members/roles?role=nothing"])
def test_what_is_not_there_is_not_found(hers: Browser, path: str) -> None:
    assert hers.get(path).status_code == 404


def test_a_role_is_made_changed_after_a_look_and_deleted(hers: Browser, alice: Actor, bob: Actor) -> None:
    made = {"name": "Release", "description": "Ships", "inherits": "viewer", "permissions": "tool:deploy\naudit:read"}
    assert hers.post("/members/roles", made).headers["Location"] == "/members/roles?role=Release"
    service.assign_role(alice, bob.id, "Release")
    form = {"description": "Ships", "inherits": "member", "permissions": "tool:deploy usage:read"}
    look = hers.post("/members/roles/Release", form)
    assert look.status_code == 200
    assert re.findall(r'class="(come|go)".*?<code>(.*?)</code>', look.text) == [
        ("come", "member"),
        ("come", "usage:read"),
        ("go", "viewer"),
        ("go", "audit:read"),
    ]
    assert "held by Bob" in words(look)
    assert next(one for one in service.list_roles(alice) if one.name == "Release").inherits == ("viewer",)
    assert hers.post("/members/roles/Release", {**form, "save": "yes"}).status_code == 303
    found = next(one for one in service.list_roles(alice) if one.name == "Release")
    assert (found.inherits, found.permissions) == (("member",), ("tool:deploy", "usage:read"))
    assert hers.post("/members/roles/Release/delete").status_code == 303
    assert roles_of(alice, bob.id) == ("member",)


def test_a_role_that_is_refused_stays_in_its_form(hers: Browser) -> None:
    answer = hers.post("/members/roles", {"name": "admin", "permissions": "tool:*"})
    assert (answer.status_code, "already exists" in words(answer)) == (400, True)
    assert "tool:*</textarea>" in answer.text


def test_the_matrix_shows_its_changes_before_it_saves_them(hers: Browser, alice: Actor) -> None:
    service.create_role(alice, "Night shift", permissions=["audit:read", "app:crm:*"])
    service.create_role(alice, "ops", inherits=["viewer"], permissions=["tokens:*"])
    page = hers.get("/members/roles").text
    ticked = re.findall(r'name="held" value="([^"]*)" checked', page)
    assert ticked == ["audit:read Night shift"]
    assert 'value="sessions:read ops"' not in page
    assert 'value="tokens:write ops"' not in page
    ticks = ["users:read Night shift", "audit:read ops"]
    look = hers.post("/members/roles/matrix", {"held": ticks})
    assert re.findall(r'class="(come|go)".*?<code>(.*?)</code>', look.text) == [
        ("come", "users:read"),
        ("go", "audit:read"),
        ("come", "audit:read"),
    ]
    assert "Save 2 roles" in words(look)
    hers.post("/members/roles/matrix", {"held": ticks, "save": "yes"})
    held = {role.name: role.permissions for role in service.list_roles(alice) if not role.is_built_in}
    assert held == {"Night shift": ("app:crm:*", "users:read"), "ops": ("tokens:*", "audit:read")}


def test_of_a_matrix_of_which_one_change_is_refused_none_is_saved(app: Cabin, alice: Actor) -> None:
    service.create_role(alice, "all", permissions=["*"])
    service.create_role(alice, "ops", permissions=[])
    service.create_role(alice, "zeal", permissions=["billing:pay"])
    admin = Browser(app, member(alice, "Ada", "admin"))
    ticks = {"held": ["audit:read ops", "audit:read zeal"], "save": "yes"}
    assert admin.post("/members/roles/matrix", ticks).status_code == 403
    assert next(one for one in service.list_roles(alice) if one.name == "ops").permissions == ()


def test_a_program_is_told_in_its_own_words(call: Caller, bob: Actor) -> None:
    answer = call("POST", f"/members/{bob.id}/roles", headers={"Accept": "application/json"})
    assert answer.status_code == 303


def test_a_name_that_is_not_theirs_is_told_at_its_field(hers: Browser, bob: Actor) -> None:
    page = hers.post(f"/members/{bob.id}/remove", {"typed": "Bo"})
    assert page.status_code == 400
    assert re.search(r'id="typed" name="typed" value="Bo"[^>]* aria-describedby="typed-error"', page.text)
    assert page.text.count("Type Bob to take them off.") == 1
    assert page.text.index('name="typed"') < page.text.index('id="typed-error"')


@pytest.mark.parametrize(
    ("typed", "field", "words"),
    [
        ({"name": "a/b"}, "name", "no slash"),
        ({"name": "ops", "description": "x" * 501}, "description", "500 characters"),
        ({"name": "ops", "permissions": "not a key!"}, "permissions", "invalid permission key"),
    ],
    ids=["name", "description", "permissions"],
)
def test_what_is_wrong_with_a_role_is_told_at_its_field(
    hers: Browser, typed: dict[str, str], field: str, words: str
) -> None:
    page = hers.post("/members/roles", typed)
    assert page.status_code == 400
    assert re.search(rf'id="{field}-error" role="alert">.*?{words}', page.text, re.DOTALL)
    assert re.search(rf'name="{field}"[^>]* aria-describedby="{field}-error"', page.text)
    assert page.text.count('role="alert"') == 1


def left_open() -> None:
    """Every browser was signed in a long time ago."""
    with db.transaction() as conn:
        conn.execute(models.browser_session.update().values(proved=0))


def ways_back(page: str) -> set[str]:
    """The pages that it leads back to from where one shows who one is."""
    return {unquote(html.unescape(path)) for path in re.findall(r'href="/account/confirm\?next=([^"]+)"', page)}


def test_a_browser_left_open_is_led_to_where_one_shows_who_one_is(hers: Browser, alice: Actor, bob: Actor) -> None:
    service.create_role(alice, "ops", permissions=["audit:read"])
    assert "Show first that it is you" not in hers.get(f"/members?person={bob.id}").text
    left_open()
    member_page, role_page, new_page = f"/members?person={bob.id}", "/members/roles?role=ops", "/members/roles?new=1"
    for path in (member_page, role_page, new_page):
        page = hers.get(path).text
        assert "wants a sign-in of the last 15 minutes" in page
        assert ways_back(page) == {path}
    changed = {"permissions": "audit:read users:read", "save": "yes"}
    for path, typed, back in (
        (f"/members/{bob.id}/roles", {"role": ["member", "viewer"]}, member_page),
        ("/members/roles", {"name": "later", "permissions": "audit:read"}, new_page),
        ("/members/roles/ops", changed, role_page),
        ("/members/roles/matrix", {"held": ["users:read ops"], "save": "yes"}, "/members/roles"),
    ):
        page = hers.post(path, typed)
        assert page.status_code == 403
        assert "Nothing was saved" in page.text
        assert ways_back(page.text) == {back}
        assert 'role="alert"' not in page.text
    assert roles_of(alice, bob.id) == ("member",)


def test_who_may_change_nobody_is_not_asked_who_they_are(viewers: Browser, bob: Actor) -> None:
    left_open()
    for path in (f"/members?person={bob.id}", "/members/roles", "/members/roles?role=member"):
        assert "Show first that it is you" not in viewers.get(path).text
