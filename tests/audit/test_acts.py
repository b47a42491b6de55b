"""Every act that the code writes down stands in the table of acts, and in its transaction: no row, no act."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from app import db, record
from app.accounts import service as accounts
from app.actor import Actor
from app.audit.acts import ACTS
from app.dialects.mount import Cabin
from app.projects import service as projects
from app.secrets import service as vault
from app.sessions import service as sessions
from app.settings import service as settings
from tests.conftest import Caller, member
from tests.floor_plan import Module, modules

DOCS = Path(__file__).parents[2] / "docs" / "audit.md"
# What is put together at the time: the pieces, and what they make.
COMPOSED = {"f'{spec.kind}.start'": ("process.start", "terminal.start")}
# These hand on what they are given.
BETWEEN = ("app", "app.audit.denials", "app.audit.service")
WRITERS = {"audit": 2, "note_denial": 1}
NAME = re.compile(r"[a-z]+(\.[a-z_]+)?")


@cache
def written() -> dict[str, list[str]]:
    """The acts by name, each with the modules that write it."""
    found: dict[str, list[str]] = {}
    for one in modules():
        for function, call in calls_in(one.tree):
            for act in acts_of(one, function, call):
                found.setdefault(act, []).append(one.name)
    return found


def calls_in(
    tree: ast.AST, function: ast.FunctionDef | None = None
) -> Iterator[tuple[ast.FunctionDef | None, ast.Call]]:
    """Each call with the innermost function around it."""
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, ast.Call):
            yield function, child
        yield from calls_in(child, child if isinstance(child, ast.FunctionDef) else function)


def acts_of(one: Module, function: ast.FunctionDef | None, call: ast.Call) -> set[str]:
    """The acts that a call writes down; none if it writes nothing."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    of_record = isinstance(call.func, ast.Attribute) and ast.unparse(call.func.value) in ("record", "audit")
    if not (of_record and name == "audit") and name != "note_denial":
        return set()
    if len(call.args) <= WRITERS[name]:
        return set()
    given = call.args[WRITERS[name]]
    return set() if one.name in BETWEEN and isinstance(given, ast.Name) else resolved(one, function, given)


def resolved(one: Module, function: ast.FunctionDef | None, given: ast.expr) -> set[str]:
    """The words that an argument may be: itself, both of a choice, or what all callers of its function give."""
    if isinstance(given, ast.Constant):
        return {str(given.value)}
    if isinstance(given, ast.IfExp):
        return resolved(one, function, given.body) | resolved(one, function, given.orelse)
    if isinstance(given, ast.JoinedStr):
        return set(COMPOSED[ast.unparse(given)])
    assert isinstance(given, ast.Name), f"{one.name}: {ast.unparse(given)}"
    assert function is not None, f"{one.name}: {given.id}"
    names = [argument.arg for argument in function.args.args]
    if given.id not in names:
        values = [
            node.value
            for node in ast.walk(function)
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == given.id
        ]
        assert values, f"{one.name}: {given.id} is no parameter of {function.name}"
        return {act for value in values for act in resolved(one, function, value)}
    return {act for act in from_callers(one, function, names.index(given.id), given.id) if NAME.fullmatch(act)}


def from_callers(one: Module, function: ast.FunctionDef, place: int, word: str) -> set[str]:
    """What the callers within the room give for a parameter, and its default."""
    found: set[str] = set()
    defaults = dict(
        zip([argument.arg for argument in function.args.args][::-1], function.args.defaults[::-1], strict=False)
    )
    if word in defaults:
        found |= resolved(one, None, defaults[word])
    for other in (module for module in modules() if module.room == one.room and bool(one.room)):
        for caller, call in calls_in(other.tree):
            name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
            if name != function.name:
                continue
            named = [keyword.value for keyword in call.keywords if keyword.arg == word]
            for given in named or call.args[place : place + 1]:
                found |= resolved(other, caller, given)
    return found


def test_the_table_names_every_act_that_the_code_writes() -> None:
    assert sorted(set(written()) - set(ACTS)) == [], "these acts are missing in app/audit/acts.py and docs/audit.md"


def test_the_operators_table_is_the_same() -> None:
    rows = re.findall(r"^\| `([a-z._]+)` \| (.+?) \|$", DOCS.read_text(encoding="utf-8"), re.MULTILINE)
    assert dict(rows) == {act.name: act.words for act in ACTS.values()}


@pytest.mark.parametrize(
    "group", ["signin", "access", "secrets", "settings", "approval", "tool", "process", "user", "token"]
)
def test_what_has_to_be_in_the_record_is(group: str) -> None:
    assert any(act.partition(".")[0] == group for act in written())


def test_a_row_is_written_on_the_connection_of_the_act_itself() -> None:
    """The first argument is a parameter, or what a `with db.transaction()` of the same function gives."""
    loose = []
    for one in modules():
        for function, call in calls_in(one.tree):
            if function is None or not acts_of(one, function, call) or ast.unparse(call.func) != "record.audit":
                continue
            given = ast.unparse(call.args[0])
            opened = {
                ast.unparse(item.optional_vars)
                for node in ast.walk(function)
                if isinstance(node, ast.With)
                for item in node.items
                if item.optional_vars is not None and "transaction" in ast.unparse(item.context_expr)
            }
            if given not in opened | {argument.arg for argument in function.args.args}:
                loose.append(f"{one.name}.{function.name}: {given}")
    assert loose == []


Act = Callable[[Actor], Any]
DEEDS: dict[str, Act] = {
    "user.create": lambda alice: accounts.create_user(alice, "Eve", "eve@example.com", "viewer"),
    "token.mint": lambda alice: accounts.mint_token(alice, "laptop", ("sessions:read",)),
    "secrets.put": lambda alice: vault.put(alice, "platform", "NEW", "another-value"),
    "secrets.delete": lambda alice: vault.delete(alice, "platform", "KEPT"),
    "secrets.grant": lambda alice: vault.grant(alice, "platform", "KEPT", projects.resolve(alice, None).project.id),
    "secrets.export": vault.environment,
    "settings.set": lambda alice: settings.set_values(
        alice, None, settings.Config.model_validate({"share": "disabled"})
    ),
    "project.remove": lambda alice: projects.remove(alice, projects.resolve(alice, None).project.id),
    "session.delete": lambda alice: sessions.delete(alice, sessions.find_page(alice)[0].id),
}


@pytest.fixture
def alice(app: Cabin) -> Actor:
    """Alice owns the installation that the app runs on."""
    return accounts.local_owner()


def stored() -> dict[str, list[Any]]:
    """All that is stored but the record, its seals, events and counters."""
    with db.read() as conn:
        return {
            table.name: sorted(map(repr, conn.execute(table.select())))
            for table in db.metadata.sorted_tables
            if table.name not in ("audit", "audit_seal", "event", "sequence")
        }


@pytest.mark.parametrize("name", DEEDS)
def test_no_row_no_act(alice: Actor, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(Exception):
        pass

    def refuse(*_: object, **__: object) -> None:
        raise Full

    vault.put(alice, "platform", "KEPT", "a-value-that-is-kept")
    sessions.create(alice, projects.resolve(alice, None))
    before = stored()
    with monkeypatch.context() as patch:
        patch.setattr(record, "audit", refuse)
        with pytest.raises(Full):
            DEEDS[name](alice)
    assert stored() == before
    DEEDS[name](alice)
    with db.read() as conn:
        acts = [row.action for row in conn.execute(record.audit_rows.select())]
    assert name in acts


def test_refusals_are_written_down_by_what_they_wanted(app: Cabin, alice: Actor) -> None:
    bob = Caller(app, member(alice, "Bob"))
    assert bob.get("/api/v1/platform/secrets").status_code == 403
    with db.transaction():
        pass  # what was appended before is committed by whoever takes the next turn
    with db.read() as conn:
        rows = conn.execute(record.audit_rows.select().where(record.audit_rows.c.action == "access")).all()
    assert [(row.target, row.result, row.via) for row in rows] == [("secrets:read", "denied", "rootcx")]
