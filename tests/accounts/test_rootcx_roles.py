"""RootCX's roles and permissions: its shapes, statuses and words."""

from __future__ import annotations

import re
from typing import Any

import pytest

from app.accounts import service
from app.actor import Actor
from app.dialects.mount import Cabin
from tests.conftest import Caller, member

AT = "/api/v1"


@pytest.fixture
def bob(alice: Actor) -> Actor:
    return member(alice, "Bob")


@pytest.fixture
def bobs(app: Cabin, bob: Actor) -> Caller:
    """Bob's API client."""
    return Caller(app, bob)


def told(answer: Any) -> tuple[int, Any]:
    return answer.status_code, answer.get_json()


def test_roles_are_listed_by_name_with_the_built_in_ones(call: Caller, alice: Actor) -> None:
    service.create_role(alice, "crm", description="Sales", inherits=["base"], permissions=["app:crm:*"])
    found = call.get(f"{AT}/roles").json
    assert [one["name"] for one in found] == ["admin", "base", "crm", "member", "owner", "viewer"]
    assert found[2] == {"name": "crm", "description": "Sales", "inherits": ["base"], "permissions": ["app:crm:*"]}
    assert found[4]["permissions"] == ["*"]


def test_who_is_not_signed_in_is_told_no_roles(stranger: Caller) -> None:
    answer = stranger.get(f"{AT}/roles")
    assert (answer.status_code, list(answer.json)) == (401, ["error"])


def test_a_role_is_made_changed_given_taken_and_deleted(call: Caller, bobs: Caller, bob: Actor) -> None:
    made = call.post(
        f"{AT}/roles", {"name": "crm", "permissions": ["app:crm:*", "tool:query_data", "admin:audit.read"]}
    )
    assert told(made) == (200, {"message": "role 'crm' created"})
    assert told(call.post(f"{AT}/roles/assign", {"userId": bob.id, "role": "crm"})) == (
        200,
        {"message": "role 'crm' assigned"},
    )
    assert told(call.post(f"{AT}/roles/assign", {"user_id": bob.id, "role": "crm"}))[0] == 200
    [newest, *_rest] = call.get(f"{AT}/roles/assignments").json
    assert (newest["userId"], newest["role"], list(newest)) == (bob.id, "crm", ["userId", "role", "assignedAt"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", newest["assignedAt"])
    held = bobs.get(f"{AT}/permissions").json
    assert held["roles"] == ["crm", "member"]
    assert {"app:crm:*", "tool:*", "admin:audit.read", "sessions:*"} <= set(held["permissions"])
    assert held["permissions"] == sorted(held["permissions"])
    changed = call("PATCH", f"{AT}/roles/crm", {"description": None, "permissions": []})
    assert told(changed) == (200, {"message": "role 'crm' updated"})
    assert "app:crm:*" not in bobs.get(f"{AT}/permissions").json["permissions"]
    revoked = call.post(f"{AT}/roles/revoke", {"userId": bob.id, "role": "crm"})
    assert told(revoked) == (200, {"message": "role 'crm' revoked"})
    assert told(call("DELETE", f"{AT}/roles/crm")) == (200, {"message": "role 'crm' deleted"})


def test_apps_ask_by_their_own_names_of_keys(alice: Actor, bob: Actor) -> None:
    service.create_role(alice, "crm", permissions=["app:crm:*", "tool:query_data"])
    service.assign_role(alice, bob.id, "crm")
    held = service.acting_for(bob.id, "system")
    assert service.may(held, "app:crm:contacts.read")
    assert service.may(held, "app:crm:action:export")
    assert not service.may(held, "app:shop:orders.read")


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "words"),
    [
        ("POST", "/roles", {"name": ""}, 400, "role name is required"),
        ("POST", "/roles", {"name": "admin"}, 400, "already exists"),
        ("POST", "/roles", {"name": "x", "permissions": ["app crm"]}, 400, "invalid permission key 'app crm'"),
        ("POST", "/roles", {"name": "x", "inherits": ["x"]}, 400, "cycle"),
        ("POST", "/roles", {}, 400, "name"),
        ("POST", "/roles", [], 400, "object"),
        ("POST", "/roles", {"name": "x", "permissions": "all"}, 400, "permissions"),
        ("PATCH", "/roles/crm", {}, 400, "nothing to update"),
        ("PATCH", "/roles/admin", {"permissions": []}, 400, "built in"),
        ("PATCH", "/roles/nothing", {"permissions": []}, 404, "nothing"),
        ("DELETE", "/roles/admin", None, 400, "built in"),
        ("DELETE", "/roles/nothing", None, 404, "nothing"),
        ("POST", "/roles/assign", {"userId": "BOB", "role": "nothing"}, 400, "role 'nothing' is not defined"),
        ("POST", "/roles/assign", {"userId": "nobody", "role": "crm"}, 409, "Nobody"),
        ("POST", "/roles/revoke", {"userId": "BOB", "role": "crm"}, 404, "Assignment"),
        ("POST", "/roles/revoke", {"userId": "ALICE", "role": "owner"}, 400, "cannot revoke the last admin"),
    ],
)
def test_what_cannot_be_is_told_plainly(
    call: Caller, alice: Actor, bob: Actor, method: str, path: str, body: Any, status: int, words: str
) -> None:
    service.create_role(alice, "crm", permissions=["app:crm:*"])
    if isinstance(body, dict) and "userId" in body:
        body["userId"] = {"BOB": bob.id, "ALICE": alice.user}.get(body["userId"], body["userId"])
    answer = call(method, AT + path, body)
    assert (answer.status_code, list(answer.json)) == (status, ["error"])
    assert words in answer.json["error"]


def test_who_may_not_change_people_is_told_so(bobs: Caller, alice: Actor, bob: Actor) -> None:
    service.create_role(alice, "crm", permissions=["app:crm:*"])
    for method, path, body in (
        ("POST", "/roles", {"name": "x"}),
        ("PATCH", "/roles/crm", {"description": "x"}),
        ("DELETE", "/roles/crm", None),
        ("GET", "/roles/assignments", None),
        ("POST", "/roles/assign", {"userId": bob.id, "role": "owner"}),
        ("POST", "/roles/revoke", {"userId": bob.id, "role": "member"}),
        ("GET", f"/permissions/{alice.user}", None),
    ):
        assert bobs(method, AT + path, body).status_code == 403, path
    assert bobs.get(f"{AT}/permissions/{bob.id}").json == bobs.get(f"{AT}/permissions").json


def test_an_admin_asks_for_others_and_nobody_holds_nothing(call: Caller, bob: Actor) -> None:
    assert call.get(f"{AT}/permissions/{bob.id}").json["roles"] == ["member"]
    assert call.get(f"{AT}/permissions/usr_nobody").json == {"roles": [], "permissions": []}


def test_the_keys_that_one_holds_come_with_their_words(call: Caller, bobs: Caller) -> None:
    mine, theirs = (caller.get(f"{AT}/permissions/available").json for caller in (call, bobs))
    assert {tuple(one) for one in mine} == {("key", "description")}
    assert [one["key"] for one in mine] == sorted(one["key"] for one in mine)
    assert "users:write" in {one["key"] for one in mine} - {one["key"] for one in theirs}
    assert all(one["description"] for one in mine)
