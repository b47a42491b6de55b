"""RootCX's route of the record: deeds as rows of what they changed, with its filters."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.actor import Actor
from app.audit import bp, service
from app.audit.service import Condition, Entry, Operator
from app.dialects import rootcx
from app.errors import Invalid

door = rootcx.door(bp)
COLUMNS = {
    "table_schema": "app",
    "table_name": "noun",
    "record_id": "target",
    "operation": "operation",
    "changed_at": "at",
}
SHORT = {"app_id": "app", "entity": "noun", "actor": "who", "actor_uid": "actor"}
# A plus in an address that nobody escaped has become a space.
_UNESCAPED = re.compile(r"(:\d\d(?:\.\d{1,9})?) (\d\d(?::?\d\d)?)$")
OPERATORS: dict[str, Operator] = {"": "eq", "neq": "neq", "contains": "contains", "gte": "gte", "lte": "lte"}


class Wanted(BaseModel):
    """What is looked for: beside these, each of COLUMNS with a suffix for how it compares; others are ignored."""

    model_config = ConfigDict(extra="allow")

    before: int | None = Field(default=None, ge=0, lt=2**63)
    limit: int = 100
    order_by: Literal["id", "table_schema", "table_name", "record_id", "operation", "changed_at"] = "id"
    order: Literal["asc", "desc"] = "desc"

    def conditions(self) -> list[Condition]:
        """The filters; raises Invalid for a time that is none."""
        found = []
        for name, value in (self.model_extra or {}).items():
            column, _, suffix = name.partition("__")
            if name in SHORT:
                found.append(Condition(SHORT[name], value))
            elif column in COLUMNS and (suffix in OPERATORS) and name != f"{column}__":
                text = _moment(name, value) if column == "changed_at" else value
                found.append(Condition(COLUMNS[column], text, OPERATORS[suffix]))
        return found


@door.get("/api/v1/audit", query=Wanted, answer=list[dict[str, Any]])
def query(actor: Actor, wanted: Wanted) -> list[dict[str, Any]]:
    """The record, newest first unless asked otherwise; `before` is the id of the last one seen."""
    order = "seq" if wanted.order_by == "id" else COLUMNS[wanted.order_by]
    found = service.entries(
        actor, wanted.conditions(), wanted.before, wanted.limit, order=order, is_rising=wanted.order == "asc"
    )
    return [_row(entry) for entry in found]


def _row(entry: Entry) -> dict[str, Any]:
    """A deed as the row that it wrote: what it was is told with it, and what was there before if that is known."""
    said = {name: getattr(entry, name) for name in ("action", "result", "address", "via", "request_id")}
    detail = dict(entry.detail)
    before = detail.pop("before", None)
    is_gone = entry.operation == "DELETE"
    return {
        "id": entry.seq,
        "table_schema": entry.app,
        "table_name": entry.noun,
        "record_id": entry.target,
        "operation": entry.operation,
        "old_record": {**said, **detail, **({} if before is None else {"before": before})} if is_gone else before,
        "new_record": None if is_gone else {**said, **detail},
        "actor_uid": entry.actor or None,
        "delegator_uid": entry.user if entry.user != entry.actor and entry.actor_kind in ("agent", "token") else None,
        "trigger_ref": "agent_tool" if entry.actor_kind == "agent" else "api",
        "changed_at": rootcx.time(entry.at),
    }


def _moment(name: str, text: str) -> int:
    """A moment in unix ms; UTC where it names no zone."""
    try:
        found = datetime.fromisoformat(_UNESCAPED.sub(r"\1+\2", text))
        return int((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp() * 1000)
    except (OverflowError, ValueError):
        raise Invalid(f"{name} is no date or time.", name) from None
