"""Ways to more rights than one has, asked of a real server: none of them leads anywhere (THREATS 4.3)."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests import repository
from tests.running import ROOT, Running

AUTH, PASSWORD = "/api/v1/auth", "tractor-lamp-9"


@dataclass
class House:
    """A server with an owner, an admin, a member, a viewer and somebody without a role, and an agent of the owner."""

    running: Running
    ids: dict[str, str] = field(default_factory=dict)
    bearers: dict[str, str] = field(default_factory=dict)

    def move_in(self) -> None:
        """Have them come in."""
        for name in ("admin", "member", "viewer", "nobody"):
            body = {"email": f"{name}@example.com", "password": PASSWORD}
            status, made = self.running.call("POST", f"{AUTH}/register", body)
            assert status == 201
            self.ids[name] = made["user"]["id"]
            for role in ("base", "member", "viewer", "admin"):
                self.running.call("POST", "/api/v1/roles/revoke", {"userId": self.ids[name], "role": role})
            if name != "nobody":
                given = {"userId": self.ids[name], "role": name}
                assert self.running.call("POST", "/api/v1/roles/assign", given)[0] == 200
            self.bearers[name] = self.running.call("POST", f"{AUTH}/login", body, Authorization="")[1]["accessToken"]
        self.ids["owner"] = self.running.call("GET", f"{AUTH}/me")[1]["id"]
        for name, options in (("agent", ["--agent"]), ("scoped", ["--scope", "sessions:*"])):
            line = [sys.executable, "-m", "app", "token", name, *options]
            done = subprocess.run(line, cwd=ROOT, env=self.running.environ, capture_output=True, text=True, check=True)
            self.bearers[name] = done.stdout.split()[-1]
        made = {"name": "signers", "permissions": ["payroll:sign"], "inherits": ["viewer"]}
        assert self.running.call("POST", "/api/v1/roles", made)[0] in (200, 201)

    def call(self, who: str, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        return self.running.call(method, path, body, Authorization=f"Bearer {self.bearers[who]}")

    def rights(self) -> tuple[Any, ...]:
        """Who is here, with what; what roles there are."""
        paths = ("/api/v1/users", "/api/v1/roles", "/api/v1/roles/assignments", "/config")
        return tuple(self.running.call("GET", path)[1] for path in paths)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    base: Path = tmp_path_factory.mktemp("house").resolve()
    with Running(base / "data", repository.make(base / "shop", files=2)) as running:
        made = House(running)
        made.move_in()
        yield made


ASSIGN, ROLES = "/api/v1/roles/assign", "/api/v1/roles"
OIDC = {
    "id": "mine",
    "displayName": "M",
    "issuerUrl": "https://id.example.com",
    "clientId": "c",
    "defaultRole": "owner",
}
# Who tries, by what request. {admin}, {member} … are their ids.
CALLS: list[tuple[str, str, str, dict[str, Any] | None]] = [
    ("member", "POST", ASSIGN, {"userId": "{member}", "role": "admin"}),
    ("member", "POST", ASSIGN, {"userId": "{member}", "role": "owner"}),
    ("viewer", "POST", ASSIGN, {"userId": "{viewer}", "role": "member"}),
    ("nobody", "POST", ASSIGN, {"userId": "{nobody}", "role": "base"}),
    ("admin", "POST", ASSIGN, {"userId": "{admin}", "role": "owner"}),
    ("admin", "POST", ASSIGN, {"userId": "{member}", "role": "owner"}),
    ("admin", "POST", ASSIGN, {"userId": "{admin}", "role": "signers"}),
    ("admin", "POST", ROLES, {"name": "mine", "permissions": ["*"]}),
    ("admin", "POST", ROLES, {"name": "mine", "permissions": ["payroll:sign"]}),
    ("admin", "POST", ROLES, {"name": "mine", "inherits": ["owner"]}),
    ("admin", "POST", ROLES, {"name": "mine", "inherits": ["comes-later"]}),
    ("admin", "PATCH", f"{ROLES}/signers", {"permissions": ["users:write"]}),
    ("admin", "PATCH", f"{ROLES}/viewer", {"permissions": ["*"]}),
    ("admin", "DELETE", f"{ROLES}/signers", None),
    ("admin", "POST", "/api/v1/roles/revoke", {"userId": "{owner}", "role": "owner"}),
    ("admin", "DELETE", "/api/v1/users/{owner}", None),
    ("member", "DELETE", "/api/v1/users/{viewer}", None),
    ("member", "POST", f"{AUTH}/magic-link/generate", {"email": "x@example.com", "roles": ["admin"]}),
    ("admin", "POST", f"{AUTH}/magic-link/generate", {"email": "x@example.com", "roles": ["owner"]}),
    ("member", "POST", f"{AUTH}/oidc/providers", OIDC),
    ("admin", "POST", f"{AUTH}/oidc/providers", OIDC),
    ("member", "PATCH", "/config", {"permission": {"bash": "allow"}}),
    ("member", "POST", "/mcp", {"name": "sh", "config": {"type": "local", "command": ["sh", "-c", "id"]}}),
    ("member", "POST", "/api/v1/platform/secrets", {"key": "MINE", "value": "a-value-of-mine"}),
    ("agent", "POST", ASSIGN, {"userId": "{nobody}", "role": "base"}),
    ("agent", "POST", ROLES, {"name": "mine", "permissions": ["sessions:read"]}),
    ("agent", "PATCH", "/config", {"permission": {"bash": "allow"}}),
    ("agent", "POST", f"{AUTH}/magic-link/generate", {"email": "x@example.com", "roles": ["viewer"]}),
    ("scoped", "POST", ASSIGN, {"userId": "{nobody}", "role": "base"}),
    ("scoped", "GET", "/api/v1/platform/secrets/env", None),
]
# More than there is in a body: nobody gets it by that.
ASSIGNED = [
    {
        "email": "new{n}@example.com",
        "role": "owner",
        "roles": ["owner"],
        "grants": ["*"],
        "isAdmin": True,
        "id": "{owner}",
    },
    {
        "email": "new{n}@example.com",
        "seat": "first",
        "permissions": ["*"],
        "user": {"roles": ["owner"]},
        "is_owner": True,
    },
]


def filled(value: Any, names: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: filled(one, names) for key, one in value.items()}
    if isinstance(value, list):
        return [filled(one, names) for one in value]
    if isinstance(value, str):
        for name, known in names.items():
            value = value.replace(f"{{{name}}}", known)
    return value


def test_they_are_at_least_as_many_as_the_paper_wants() -> None:
    assert len(CALLS) >= 22


@pytest.mark.parametrize(("who", "method", "path", "body"), CALLS, ids=range(len(CALLS)))
def test_no_call_gives_somebody_more_than_they_hold(
    house: House, who: str, method: str, path: str, body: dict[str, Any] | None
) -> None:
    before = house.rights()
    status, said = house.call(who, method, filled(path, house.ids), filled(body, house.ids))
    assert 400 <= status < 500, said
    assert status == 403 if who != "admin" else status != 401, said
    assert house.rights() == before


@pytest.mark.parametrize("given", ASSIGNED, ids=["role", "seat"])
def test_what_a_body_has_beyond_its_fields_is_nothing(house: House, given: dict[str, Any]) -> None:
    number = str(len(house.rights()[0]))
    body = {**filled(given, {**house.ids, "n": number}), "password": PASSWORD}
    status, made = house.running.call("POST", f"{AUTH}/register", body)
    assert status == 201, made
    assert made["user"]["id"] not in house.ids.values()
    held = [
        one["role"]
        for one in house.running.call("GET", "/api/v1/roles/assignments")[1]
        if one["userId"] == made["user"]["id"]
    ]
    assert held == ["base"]


def test_a_session_is_its_makers_whatever_its_body_says(house: House) -> None:
    body = {"title": "Mine", "owner": house.ids["owner"], "visibility": "team", "grants": ["*"], "preset": "auto"}
    status, made = house.call("member", "POST", "/session", body)
    assert (status, made["title"]) == (200, "Mine")
    assert not {"owner", "grants", "preset"} & set(made)
    assert house.call("viewer", "PATCH", f"/session/{made['id']}", {"title": "Theirs"})[0] == 403
    assert house.call("member", "PATCH", f"/session/{made['id']}", {"visibility": "private"})[0] == 200
    assert house.call("member", "DELETE", f"/session/{made['id']}")[0] == 200


def test_a_decision_is_made_anew_for_each_request(house: House) -> None:
    """By one connection, with one and the same access token."""
    given = {"userId": house.ids["viewer"], "role": "member"}
    assert house.call("viewer", "POST", "/session", {})[0] == 403
    assert house.running.call("POST", ASSIGN, given)[0] == 200
    assert house.call("viewer", "POST", "/session", {})[0] == 200
    assert house.running.call("POST", "/api/v1/roles/revoke", given)[0] == 200
    assert house.call("viewer", "POST", "/session", {})[0] == 403


def test_the_last_owner_stays(house: House) -> None:
    given = {"userId": house.ids["owner"], "role": "owner"}
    assert house.running.call("POST", "/api/v1/roles/revoke", given)[0] == 400
    assert house.running.call("DELETE", f"/api/v1/users/{house.ids['owner']}")[0] == 400
    assert house.running.call("GET", "/api/v1/users")[0] == 200
