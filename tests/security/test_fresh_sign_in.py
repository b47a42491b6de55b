"""What a browser left open must not do: it wants a sign-in of the last quarter of an hour (THREATS 4.4, ASVS 7.5.3)."""

from __future__ import annotations

import re
from typing import Any

import pytest

from app import csrf, db
from app.accounts.models import browser_session
from app.actor import Actor
from app.dialects.mount import Cabin
from app.invites import service as invites
from app.projects import service as projects
from tests.conftest import Caller, member
from tests.visitor import ORIGIN, Browser

SWITCHES = {"auto_approval_enabled": "on", "always_allow_write": "on"}
MCP = {"kind": "local", "name": "tools", "command": "true", "timeout": "1"}
PROVIDER = {
    "id": "acme", "displayName": "Acme", "issuerUrl": "https://id.example.com", "clientId": "us", "clientSecret": "topsecret-value",
}  # fmt: skip
ROO = {"autoApprovalEnabled": True, "alwaysAllowExecute": True}
# Each act: how it is asked for, and what it sends; {project}, {bob} and {invite} are ids.
ACTS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "PATCH /config": ("PATCH", "/opencode/config", {"permission": {"bash": "allow"}}),
    "PATCH /global/config": ("PATCH", "/opencode/global/config", {"permission": {"bash": "allow"}}),
    "settings.permissions on the page": (
        "FORM",
        "/settings/configuration",
        {"text": '{"permission":{"bash":"allow"}}'},
    ),
    "settings of a project": ("FORM", "/settings/configuration/{project}", {"text": '{"permission":{"edit":"allow"}}'}),
    "auto-approve on the page": ("FORM", "/settings/auto-approve", {"project": "{project}", **SWITCHES}),
    "auto-approve of Roo": ("POST", "/roo/api/auto-approve", ROO),
    "auto-approve of Roo, all": ("POST", "/roo/api/auto-approve/enabled", {"enabled": True}),
    "MCP add on the page": ("FORM", "/mcp-servers/{project}", MCP),
    "MCP add": ("POST", "/opencode/mcp", {"name": "tools", "config": {"type": "local", "command": ["true"]}}),
    "a role is made": ("POST", "/rootcx/api/v1/roles", {"name": "helpers", "permissions": ["sessions:read"]}),
    "a role is given": ("POST", "/rootcx/api/v1/roles/assign", {"userId": "{bob}", "role": "viewer"}),
    "roles are given on the page": ("FORM", "/members/{bob}/roles", {"role": "viewer"}),
    "somebody is invited": ("FORM", "/invites", {"email": "eve@example.com", "role": "admin"}),
    "an invite gets a new link": ("FORM", "/invites/{invite}/resend", {}),
    "a program's link": (
        "POST",
        "/rootcx/api/v1/auth/magic-link/generate",
        {"email": "eve@example.com", "roles": ["admin"]},
    ),
    "OIDC": ("POST", "/rootcx/api/v1/auth/oidc/providers", PROVIDER),
    "a role is made on the page": ("FORM", "/members/roles", {"name": "helpers", "permissions": "sessions:read"}),
    "OIDC on the page": (
        "FORM",
        "/settings/sign-in",
        {"id": "acme", "name": "Acme", "issuer": "https://id.example.com", "client_id": "us", "default_role": "viewer"},
    ),
    "secrets are exported": ("GET", "/rootcx/api/v1/platform/secrets/env", {}),
    "a token is made": ("FORM", "/account/tokens", {"name": "laptop", "may": "read", "ends": "7"}),
}


class Left:
    """A browser that its owner signed in with a while ago."""

    def __init__(self, app: Cabin, alice: Actor) -> None:
        self.browser = Browser(app, alice)
        invite = invites.invite(alice, "ivy@example.com", ("viewer",)).invite.id
        project = projects.resolve(alice, None).project.id
        self.names = {"project": project, "bob": member(alice, "Bob").id, "invite": invite}

    def grow_old(self) -> None:
        """A quarter of an hour passes for all browsers."""
        with db.transaction() as conn:
            conn.execute(browser_session.update().values(proved=browser_session.c.proved - 15 * 60 * 1000))

    def does(self, act: str) -> Any:
        method, path, given = ACTS[act]
        path, given = path.format(**self.names), self._filled(given)
        if method == "FORM":
            return self.browser.post(path, given)
        headers = {"Origin": ORIGIN, csrf.HEADER: self.browser.token}
        body = {} if method == "GET" else {"json": given}
        return self.browser.client.open(path, method=method, headers=headers, **body)

    def _filled(self, given: dict[str, Any]) -> dict[str, Any]:
        return {
            key: self.names.get(value[1:-1], value) if isinstance(value, str) else value for key, value in given.items()
        }


@pytest.fixture
def left(app: Cabin, alice: Actor) -> Left:
    return Left(app, alice)


def stored() -> dict[str, list[str]]:
    """What is stored of settings, rights and servers."""
    names = (
        "setting",
        "choice",
        "mcp_server",
        "role",
        "role_assignment",
        "oidc_provider",
        "token",
        "approval_rule",
        "sign_in_link",
    )
    with db.read() as conn:
        return {
            table.name: sorted(map(repr, conn.execute(table.select())))
            for table in db.metadata.sorted_tables
            if table.name.startswith(names)
        }


@pytest.mark.parametrize("act", ACTS)
def test_a_browser_left_open_does_not(left: Left, act: str) -> None:
    left.grow_old()
    before = stored()
    answer = left.does(act)
    is_sent = answer.status_code == 303 and answer.headers["Location"].startswith("/account/confirm?next=")
    assert is_sent or answer.status_code == 403, (answer.status_code, answer.text[:300])
    if not is_sent:
        is_page = ACTS[act][0] == "FORM"
        assert re.search('href="/account/confirm[?]next=' if is_page else "sign in again|SIGN_IN_AGAIN", answer.text)
    assert stored() == before


@pytest.mark.parametrize(
    "act", [name for name in ACTS if not name.startswith("OIDC")]
)  # which would be asked what it is
def test_and_does_once_it_is_shown_who_sits_before_it(left: Left, act: str) -> None:
    answer = left.does(act)
    assert answer.status_code < 400, answer.text[:300]
    assert not answer.headers.get("Location", "").startswith("/account/confirm")


def test_what_was_typed_is_kept_while_one_shows_who_one_is(left: Left) -> None:
    left.grow_old()
    answer = left.does("settings.permissions on the page")
    assert "Nothing was saved" in answer.text
    assert "&#34;bash&#34;:&#34;allow&#34;" in answer.text
    answer = left.does("MCP add on the page")
    assert 'value="tools"' in answer.text


def test_letting_less_run_unasked_needs_nothing(left: Left) -> None:
    assert left.does("auto-approve on the page").status_code == 303
    left.grow_old()
    narrower = {
        "project": left.names["project"],
        "auto_approval_enabled": "on",
        "allowed_commands": "",
        "denied_commands": "rm",
    }
    answer = left.browser.post("/settings/auto-approve", narrower)
    assert answer.status_code == 303
    assert "saved=1" in answer.headers["Location"]


def test_choosing_a_model_needs_nothing(left: Left) -> None:
    left.grow_old()
    headers = {"Origin": ORIGIN, csrf.HEADER: left.browser.token}
    assert (
        left.browser.client.patch("/opencode/config", json={"model": "demo/demo"}, headers=headers).status_code == 200
    )
    both = {"model": "demo/demo", "permission": {"bash": "allow"}}
    assert left.browser.client.patch("/opencode/config", json=both, headers=headers).status_code == 403


@pytest.mark.parametrize("act", [name for name in ACTS if ACTS[name][0] != "FORM" and name != "OIDC"])
def test_a_token_needs_its_scope_alone(left: Left, call: Caller, act: str) -> None:
    left.grow_old()
    method, path, given = ACTS[act]
    body = {} if method == "GET" else {"json": left._filled(given)}
    assert call(method, path, **body).status_code < 400
