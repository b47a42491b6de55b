"""RootCX's clients read the record with its filters, in its shape."""

from __future__ import annotations

import re
from typing import Any

import pytest

from app import db, record
from app.accounts import service as accounts
from app.actor import Actor
from app.dialects.mount import Cabin
from tests.conftest import Caller, member

AUDIT = "/api/v1/audit"
KEYS = [
    "id", "table_schema", "table_name", "record_id", "operation", "old_record", "new_record", "actor_uid",
    "delegator_uid", "trigger_ref", "changed_at",
]  # fmt: skip


@pytest.fixture
def alice(app: Cabin) -> Actor:
    """Alice owns the installation that the app runs on."""
    return accounts.local_owner()


@pytest.fixture
def deeds(alice: Actor) -> None:
    """Four deeds of somebody's agent, and one on an app."""
    agent = Actor("run_1", "agent", "usr_bob", "Agent", ("tool:*",))
    with db.transaction() as conn:
        record.audit(conn, alice, "secrets.put", "app:crm/KEY", {"version": 2})
        record.audit(conn, agent, "tool.run", "bash make", {"tool": "bash"})
        record.audit(conn, alice, "role.update", "support", {"before": {"inherits": []}, "inherits": ["viewer"]})
        record.audit(conn, alice, "worktree.remove", "wrk_1", {"branch": "fix"})


def asked(call: Caller, **query: Any) -> list[dict[str, Any]]:
    answer = call.get(AUDIT, query_string=query)
    assert answer.status_code == 200, answer.text
    return list(answer.json)


@pytest.mark.parametrize("path", [AUDIT, f"/rootcx{AUDIT}"])
def test_a_deed_has_the_shape_of_a_row(call: Caller, deeds: None, path: str) -> None:
    gone, changed, run, put = call.get(path).json[:4]
    assert list(put) == KEYS
    assert (put["table_schema"], put["table_name"], put["record_id"]) == ("crm", "secrets", "app:crm/KEY")
    assert (put["operation"], put["old_record"], put["new_record"]["version"]) == ("INSERT", None, 2)
    assert (put["trigger_ref"], put["delegator_uid"]) == ("api", None)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", put["changed_at"])
    assert (run["actor_uid"], run["delegator_uid"], run["trigger_ref"]) == ("run_1", "usr_bob", "agent_tool")
    assert (changed["old_record"], changed["new_record"]["inherits"]) == ({"inherits": []}, ["viewer"])
    assert (gone["operation"], gone["old_record"]["branch"], gone["new_record"]) == ("DELETE", "fix", None)
    assert gone["table_schema"] == "rootcx_system"


def test_a_deed_names_the_request_that_it_was_done_in(call: Caller, deeds: None) -> None:
    answer = call.post("/rootcx/api/v1/roles", {"name": "helpers", "permissions": ["sessions:read"]})
    made, before = call.get(AUDIT).json[:2]
    assert (made["new_record"]["action"], answer.status_code) == ("role.create", 200)
    assert made["new_record"]["request_id"] == answer.headers["X-Request-Id"]
    assert before["old_record"]["request_id"] == "", "it was done outside of any"


def test_it_filters_as_the_document_says(call: Caller, alice: Actor, deeds: None) -> None:
    assert [row["record_id"] for row in asked(call, app_id="crm")] == ["app:crm/KEY"]
    assert [row["record_id"] for row in asked(call, entity="tool")] == ["bash make"]
    assert [row["record_id"] for row in asked(call, actor="usr_bob")] == ["bash make"]
    assert [row["record_id"] for row in asked(call, actor_uid="run_1", operation="UPDATE")] == ["bash make"]
    assert [row["record_id"] for row in asked(call, record_id__contains="MAKE")] == ["bash make"]
    assert {row["operation"] for row in asked(call, operation__neq="INSERT")} == {"UPDATE", "DELETE"}
    assert {row["table_name"] for row in asked(call, table_name__gte="tool", table_name__lte="u")} >= {"tool"}
    assert asked(call, app_id="crm", entity="tool") == []
    assert len(asked(call, nothing="at all", table_name__like="x", limit=1000)) == len(asked(call, limit=1000))


def test_times_compare_in_each_spelling(call: Caller, deeds: None) -> None:
    newest = asked(call, entity="worktree")[0]["changed_at"]
    assert [row["table_name"] for row in asked(call, changed_at=newest, entity="worktree")] == ["worktree"]
    for text in (newest, newest.replace("T", " ").replace("+00:00", "+00"), newest[:-6]):
        assert asked(call, changed_at__gte=text, entity="worktree")
    assert call.get(f"{AUDIT}?changed_at__gte={newest}&entity=worktree").json, "a plus that nobody escaped"
    assert asked(call, changed_at__gte="2199-01-01") == []
    assert asked(call, changed_at__lte="1999-01-01T00:00:00Z") == []


def test_pages_go_on_before_the_last_id(call: Caller, deeds: None) -> None:
    whole = [row["id"] for row in asked(call, limit=1000)]
    first = asked(call, limit=2)
    assert [row["id"] for row in first] == whole[:2]
    assert [row["id"] for row in asked(call, before=first[-1]["id"], limit=2)] == whole[2:4]
    assert [row["id"] for row in asked(call, order="asc", limit=1000)] == whole[::-1]
    assert asked(call, order_by="table_name", order="desc")[0]["table_name"] == "worktree"
    assert len(asked(call, limit=0)) == 1
    assert len(asked(call, limit=5000)) == len(whole)


@pytest.mark.parametrize(
    "query",
    [
        {"changed_at__gte": "yesterday"}, {"changed_at__contains": "2026"},
        {"before": "x"}, {"before": "-1"}, {"before": str(2**63)}, {"limit": "many"}, {"order": "up"},
        {"order_by": "detail"}, {"record_id": "x" * 501}, {"record_id": "a\0b"},
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_told(call: Caller, query: dict[str, str]) -> None:
    answer = call.get(AUDIT, query_string=query)
    assert (answer.status_code, list(answer.json)) == (400, ["error"])


def test_only_those_who_may_read_it_do(app: Cabin, alice: Actor, stranger: Caller) -> None:
    assert stranger.get(AUDIT).status_code == 401
    assert Caller(app, member(alice, "Bob")).get(AUDIT).status_code == 403
    assert Caller(app, member(alice, "Ann", "admin")).get(AUDIT).status_code == 200


@pytest.mark.parametrize("method", ["DELETE", "PATCH", "PUT", "POST"])
def test_nobody_changes_it(call: Caller, method: str) -> None:
    assert call(method, AUDIT).status_code == 405
