"""Looking into the record: which entries, in which order, as RootCX's filters and our page ask for them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from app import record
from app.audit.models import seal
from app.errors import Invalid

Operator = Literal["eq", "neq", "contains", "gte", "lte"]
# Where a deed concerns no app, RootCX's clients find it here.
SYSTEM_SCHEMA = "rootcx_system"
APP = "app:"
INSERTS = frozenset(
    (
        *("add", "begin", "choose", "clone", "create", "export", "grant", "lend", "mint", "mkdir", "profile", "put"),
        *("rule_add", "share", "shell", "signin", "signin_begin", "start", "verify"),
    )
)
DELETES = frozenset(
    (
        *("delete", "end", "expire", "kill", "profile_remove", "remove", "revoke", "rule_remove", "signout"),
        *("take_away", "unshare"),
    )
)
LONGEST = 500
_rows = record.audit_rows


@dataclass(frozen=True)
class Entry:
    """One deed: when (unix ms), who, what, on what, with which result, from where, and in which request, "" outside of
    one; its link once it is sealed.
    """

    seq: int
    at: int
    actor: str
    actor_kind: str
    user: str
    token: str | None
    action: str
    target: str
    result: str
    address: str
    via: str
    request_id: str
    detail: dict[str, Any]
    place: int | None = None
    prev_hash: str | None = None
    hash: str | None = None

    @property
    def noun(self) -> str:
        """What kind of thing it was done to: `secrets` of `secrets.put`."""
        return self.action.partition(".")[0]

    @property
    def app(self) -> str:
        """The app that it concerns, else SYSTEM_SCHEMA."""
        return self.target[len(APP) :].partition("/")[0] if self.target.startswith(APP) else SYSTEM_SCHEMA

    @property
    def operation(self) -> str:
        """INSERT, DELETE or UPDATE, as near as a deed comes to one."""
        verb = self.action.rpartition(".")[2]
        return "INSERT" if verb in INSERTS else "DELETE" if verb in DELETES else "UPDATE"


@dataclass(frozen=True)
class Condition:
    """One filter: a column of COLUMNS, how it compares, and with what (unix ms for `at`)."""

    column: str
    value: str | int
    operator: Operator = "eq"


class _Part(FunctionElement[str]):
    """What stands before (`first`) or behind (`rest`) the first separator; all of it without one."""

    inherit_cache = True
    type = sa.String()


class _First(_Part):
    inherit_cache = True
    name = "first"


class _Rest(_Part):
    inherit_cache = True
    name = "rest"


@compiles(_First, "sqlite")
def _first_sqlite(element: Any, compiler: Any, **more: Any) -> str:
    text, separator = (compiler.process(one, **more) for one in element.clauses)
    return (
        f"CASE instr({text}, {separator}) WHEN 0 THEN {text} ELSE substr({text}, 1, instr({text}, {separator}) - 1) END"
    )


@compiles(_First, "postgresql")
def _first_postgresql(element: Any, compiler: Any, **more: Any) -> str:
    text, separator = (compiler.process(one, **more) for one in element.clauses)
    return f"split_part({text}, {separator}, 1)"


@compiles(_Rest, "sqlite")
def _rest_sqlite(element: Any, compiler: Any, **more: Any) -> str:
    text, separator = (compiler.process(one, **more) for one in element.clauses)
    return f"substr({text}, instr({text}, {separator}) + 1)"


@compiles(_Rest, "postgresql")
def _rest_postgresql(element: Any, compiler: Any, **more: Any) -> str:
    text, separator = (compiler.process(one, **more) for one in element.clauses)
    return f"substr({text}, strpos({text}, {separator}) + 1)"


_DOT: sa.ColumnElement[str] = sa.literal_column("'.'")
_SLASH: sa.ColumnElement[str] = sa.literal_column("'/'")
_verb = _Rest(_rows.c.action, _DOT)
_below_app = sa.func.substr(_rows.c.target, len(APP) + 1)
COLUMNS: dict[str, sa.ColumnElement[Any]] = {
    **{name: _rows.c[name] for name in ("seq", "at", "actor", "actor_kind", "user", "token", "action", "target")},
    **{name: _rows.c[name] for name in ("result", "address", "via", "request_id")},
    "noun": _First(_rows.c.action, _DOT),
    "app": sa.case((_rows.c.target.startswith(APP), _First(_below_app, _SLASH)), else_=SYSTEM_SCHEMA),
    "operation": sa.case(
        (_verb.in_(sorted(INSERTS)), "INSERT"), (_verb.in_(sorted(DELETES)), "DELETE"), else_="UPDATE"
    ),
    # Whoever acted, or is the person behind a token or an agent that did.
    "who": _rows.c.actor,
}
_NUMBERS = ("seq", "at")
_LINK = ("place", "prev_hash", "hash")
columns = [
    (seal if field.name in _LINK else _rows).c[field.name].label(field.name) for field in dataclasses.fields(Entry)
]


def query(conditions: Iterable[Condition] = ()) -> sa.Select[Any]:
    """The entries that fit all conditions, with their links; raises Invalid."""
    found = sa.select(*columns).select_from(_rows.outerjoin(seal, seal.c.seq == _rows.c.seq))
    return found.where(*(_clause(one) for one in conditions))


def _clause(one: Condition) -> sa.ColumnElement[bool]:
    column, value = COLUMNS[one.column], one.value
    if (one.column in _NUMBERS) != isinstance(value, int) or (isinstance(value, str) and len(value) > LONGEST):
        raise Invalid(f"{one.column} cannot be compared with that.", one.column)
    if one.column == "who":
        return sa.or_(_rows.c.user == value, _rows.c.actor == value)
    if one.operator == "contains":
        if isinstance(value, int):
            raise Invalid(f"{one.column} is a number and contains nothing.", one.column)
        return column.icontains(value, autoescape=True)
    if one.operator == "neq":
        return column != value
    if one.operator == "gte":
        return column >= value
    return column <= value if one.operator == "lte" else column == value
