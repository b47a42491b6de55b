"""RootCX's clients set, list and delete secrets, and read the platform's values when they may."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa

from app import db, ids, redact
from app.accounts import service as accounts
from app.accounts.models import browser_session
from app.actor import Actor
from app.audit import service as audit
from app.dialects.mount import Cabin
from app.errors import Denied
from app.secrets import models
from app.secrets import service as vault
from tests.conftest import Caller, member
from tests.visitor import Browser

VALUE = "sk-live-51H8x-the-value"
PLATFORM, ENV = "/api/v1/platform/secrets", "/api/v1/platform/secrets/env"
APP = "/api/v1/apps/crm/secrets"
ROUTES = [
    ("POST", APP), ("GET", APP), ("DELETE", f"{APP}/KEY"),
    ("POST", PLATFORM), ("GET", PLATFORM), ("GET", ENV), ("DELETE", f"{PLATFORM}/KEY"),
]  # fmt: skip


@pytest.fixture(autouse=True)
def unwatched(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one test has hidden shows in the next one."""
    monkeypatch.setattr(redact, "_live", redact.Redactor())


def acts() -> list[str]:
    return [entry.action for entry in audit.entries(accounts.local_owner()) if entry.noun == "secrets"]


@pytest.mark.parametrize("prefix", ["", "/rootcx"])
def test_an_apps_secrets_are_set_listed_and_deleted(call: Caller, prefix: str) -> None:
    for key in ("ZEBRA", "ALPHA", "ALPHA"):
        answer = call.post(prefix + APP, {"key": key, "value": VALUE})
        assert (answer.status_code, list(answer.json)) == (200, ["message"])
    assert call.get(prefix + APP).json == ["ALPHA", "ZEBRA"]
    assert call.get(prefix + "/api/v1/apps/other/secrets").json == []
    gone = call("DELETE", f"{prefix}{APP}/ZEBRA")
    assert (gone.status_code, list(gone.json)) == (200, ["message"])
    assert call.get(prefix + APP).json == ["ALPHA"]
    missing = call("DELETE", f"{prefix}{APP}/ZEBRA")
    assert (missing.status_code, list(missing.json)) == (404, ["error"])


def test_the_platforms_are_too_and_nothing_has_to_restart(call: Caller) -> None:
    made = call.post(PLATFORM, {"key": "STRIPE_KEY", "value": VALUE})
    assert (made.status_code, set(made.json), made.json["workers_restarted"]) == (
        200,
        {"message", "workers_restarted"},
        0,
    )
    assert VALUE not in made.text
    assert call.get(PLATFORM).json == ["STRIPE_KEY"]
    gone = call("DELETE", f"{PLATFORM}/STRIPE_KEY")
    assert (gone.status_code, gone.json["workers_restarted"]) == (200, 0)
    assert call("DELETE", f"{PLATFORM}/STRIPE_KEY").status_code == 404


def test_their_values_are_read_whole_and_each_look_is_written_down(call: Caller) -> None:
    call.post(PLATFORM, {"key": "ONE", "value": VALUE})
    call.post(PLATFORM, {"key": "TWO", "value": 'päss\n"word"\\'})
    call.post(APP, {"key": "THREE", "value": VALUE})
    assert call.get(ENV).json == {"ONE": VALUE, "TWO": 'päss\n"word"\\'}
    assert call.get(ENV).headers["Cache-Control"] == "no-store"
    [entry, _] = audit.entries(accounts.local_owner(), [audit.Condition("action", "secrets.export")])
    assert (entry.target, entry.detail, entry.via) == ("platform", {"names": ["ONE", "TWO"]}, "rootcx")
    assert VALUE not in repr(audit.entries(accounts.local_owner()))
    with db.transaction():
        pass  # what was appended before is committed by whoever takes the next turn
    used = {one.name: one.used is not None for one in vault.list_all(accounts.local_owner())}
    assert used == {"ONE": True, "TWO": True, "THREE": False}


def test_a_browser_must_have_signed_in_lately(app: Cabin, call: Caller, browser: Browser) -> None:
    call.post(PLATFORM, {"key": "ONE", "value": VALUE})
    assert browser.get(ENV).json == {"ONE": VALUE}
    with db.transaction() as conn:
        conn.execute(browser_session.update().values(proved=ids.now() - 16 * 60_000))
    stale = browser.get(ENV)
    assert (stale.status_code, list(stale.json)) == (403, ["error"])
    assert VALUE not in stale.text
    assert call.get(ENV).json == {"ONE": VALUE}
    assert acts().count("secrets.export") == 2


def test_a_token_needs_the_scope(app: Cabin, alice: Actor, call: Caller) -> None:
    call.post(PLATFORM, {"key": "ONE", "value": VALUE})
    answers = {}
    for scope in ("secrets:read", "secrets:write", "secrets:export", "secrets:*", "sessions:*"):
        _token, secret = accounts.mint_token(alice, scope.strip("*").replace(":", "-"), (scope,))
        headers = {"Authorization": f"Bearer {secret}"}
        answers[scope] = [call("GET", path, headers=headers).status_code for path in (PLATFORM, ENV)]
    assert answers == {
        "secrets:read": [200, 403], "secrets:write": [403, 403], "secrets:export": [403, 200],
        "secrets:*": [200, 200], "sessions:*": [403, 403],
    }  # fmt: skip


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_a_stranger_and_a_member_get_nowhere(
    app: Cabin, alice: Actor, call: Caller, stranger: Caller, method: str, path: str
) -> None:
    for url in (APP, PLATFORM):
        call.post(url, {"key": "KEY", "value": VALUE})
    body = {"key": "KEY", "value": "another-value"} if method == "POST" else None
    assert stranger(method, path, body).status_code == 401
    refused = Caller(app, member(alice, "Bob"))(method, path, body)
    assert (refused.status_code, list(refused.json)) == (403, ["error"])
    assert call.get(ENV).json == {"KEY": VALUE}
    assert call.get(APP).json == ["KEY"]


def test_rootcxs_own_keys_open_the_same_doors(app: Cabin, alice: Actor, call: Caller) -> None:
    call.post(PLATFORM, {"key": "ONE", "value": VALUE})
    manager = Actor("usr_m", "user", "usr_m", "M", ("admin:secrets.manage",))
    reader = Actor("usr_r", "user", "usr_r", "R", ("admin:audit.read",))
    assert vault.environment(manager) == {"ONE": VALUE}
    assert [entry.action for entry in audit.entries(reader, limit=1)] == ["secrets.export"]
    for verb in (lambda: vault.environment(reader), lambda: audit.entries(manager)):
        with pytest.raises(Denied):
            verb()
    agent = replace(manager, kind="agent")
    with pytest.raises(Denied):
        vault.environment(agent)


def test_a_projects_token_sees_no_platform(app: Cabin, alice: Actor, call: Caller) -> None:
    call.post(PLATFORM, {"key": "KEY", "value": VALUE})
    _token, secret = accounts.mint_token(alice, "bound", ("*",), None, "prj_1")
    for path in (PLATFORM, ENV):
        assert call("GET", path, headers={"Authorization": f"Bearer {secret}"}).status_code == 404


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (PLATFORM, {"key": "WITH-DASH", "value": VALUE}), (PLATFORM, {"key": "", "value": VALUE}),
        (PLATFORM, {"key": "K" * 129, "value": VALUE}), (PLATFORM, {"key": "KEY"}), (PLATFORM, {"value": VALUE}),
        (PLATFORM, {"key": "KEY", "value": 7}), (PLATFORM, {"key": "KEY", "value": ""}),
        (PLATFORM, {"key": "KEY", "value": "x" * 16_385}), (PLATFORM, [1]),
        (APP, {"key": "a|b", "value": VALUE}), (APP, {"key": "a b", "value": VALUE}),
        ("/api/v1/apps/rootcx_system/secrets", {"key": "KEY", "value": VALUE}),
        ("/api/v1/apps/pg_catalog/secrets", {"key": "KEY", "value": VALUE}),
        ("/api/v1/apps/a:b/secrets", {"key": "KEY", "value": VALUE}),
    ],
)  # fmt: skip
def test_what_cannot_be_kept_is_told_plainly(call: Caller, path: str, body: Any) -> None:
    answer = call.post(path, body)
    assert (answer.status_code, list(answer.json)) == (400, ["error"])
    assert VALUE not in answer.text
    assert acts() == []


@pytest.mark.parametrize("path", [f"{PLATFORM}/a%00b", f"{APP}/%F0%9F%92%A5", f"{PLATFORM}/{'k' * 300}"])
def test_a_key_that_there_cannot_be_is_not_found(call: Caller, path: str) -> None:
    assert call("DELETE", path).status_code in (400, 404)


def test_a_row_that_was_changed_fails_the_export_by_its_name(call: Caller) -> None:
    call.post(PLATFORM, {"key": "ONE", "value": VALUE})
    call.post(PLATFORM, {"key": "TWO", "value": VALUE + "2"})
    with db.transaction() as conn:
        rows = conn.execute(sa.select(models.secrets.c.name, models.secrets.c.sealed)).all()
        sealed = {row.name: row.sealed for row in rows}
        for name, other in (("ONE", "TWO"), ("TWO", "ONE")):
            conn.execute(models.secrets.update().where(models.secrets.c.name == name).values(sealed=sealed[other]))
    answer = call.get(ENV)
    assert (answer.status_code, "ONE" in answer.json["error"]) == (409, True)
    assert "secrets.export" not in acts()
