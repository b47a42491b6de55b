"""The record for people: filters, entries that come as they are sealed, one of them whole, and the chain's state."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from flask import Response, g, render_template, request, url_for

from app import config, ids, live, slots, web
from app.accounts import service as accounts
from app.actor import Actor
from app.audit import bp, events, service
from app.audit.service import ACTS, Condition, Entry, Standing
from app.web_filters import through

SHOWN = 60
DAY = 86_400_000
PERIODS = {"day": ("last 24 hours", DAY), "week": ("last 7 days", 7 * DAY), "month": ("last 30 days", 30 * DAY)}
# The filters by their names in the address: the column, and how it compares.
FILTERS = {
    "who": ("who", "eq"),
    "act": ("action", "eq"),
    "target": ("target", "contains"),
    "via": ("via", "eq"),
    "address": ("address", "eq"),
    "result": ("result", "eq"),
}
WORDS = {"who": "by", "act": "", "target": "on", "via": "through", "address": "from", "result": "result"}
RESULTS = ("done", "denied", "failed")
WAYS = (*config.DIALECTS, "shell")
TYPES = {"jsonl": "application/jsonl", "csv": "text/csv"}
LONGEST = 200


@dataclass(frozen=True)
class Wanted:
    """The filters of a page: what is asked for, by the names of FILTERS, and the period."""

    values: dict[str, str]
    period: str

    @classmethod
    def of(cls, given: Mapping[str, str]) -> Wanted:
        """Those that an address names; others are passed over."""
        values = {name: " ".join(given.get(name, "").split())[:LONGEST] for name in FILTERS}
        period = given.get("period", "")
        return cls({name: text for name, text in values.items() if text}, period if period in PERIODS else "")

    @property
    def conditions(self) -> list[Condition]:
        """The same for the verb."""
        found = [Condition(FILTERS[name][0], text, FILTERS[name][1]) for name, text in self.values.items()]  # type: ignore[arg-type]
        if self.period:
            found.append(Condition("at", ids.now() - PERIODS[self.period][1], "gte"))
        return found

    @property
    def query(self) -> dict[str, str]:
        """The same as an address has them."""
        return {**self.values, **({"period": self.period} if self.period else {})}

    def without(self, name: str) -> str:
        """The address of the page without one of them."""
        rest = {key: text for key, text in self.query.items() if key != name}
        return url_for("audit.index") + (f"?{urlencode(rest)}" if rest else "")


@dataclass(frozen=True)
class Row:
    """An entry in the list: who did it, what, in words, and the name of what it was done to; "" without one."""

    one: Entry
    who: str
    act: str
    on: str

    @property
    def link(self) -> str:
        """The beginning of its hash, in two groups; "" until it is sealed."""
        return f"{self.one.hash[:4]} {self.one.hash[4:8]}" if self.one.hash else ""

    @property
    def kind(self) -> str:
        """Whether a person did it, for the picture beside it."""
        return "user" if self.one.actor_kind == "user" else "agent"


@bp.get("/audit")
def index() -> Response:
    """The entries that fit, newest first, one of them whole if the address names it."""
    actor, wanted = web.actor(), Wanted.of(request.args)
    before, chosen = _number("before"), _number("entry")
    people = _people(actor)
    found = service.entries(actor, wanted.conditions, before, SHOWN + 1)
    opened = service.get(actor, chosen) if chosen is not None else None
    names = _names(actor, people, [*found, *([opened] if opened else [])])
    rows = [_row(one, people, names) for one in found[:SHOWN]]
    top = found[0].seq if found else 0
    older = {**wanted.query, "before": str(found[SHOWN - 1].seq)} if len(found) > SHOWN else {}
    return web.page(
        "audit/index.html",
        rows=rows,
        opened=_row(opened, people, names) if opened else None,
        wanted=wanted,
        **_chain(actor, people),
        is_among=opened is not None and any(row.one.seq == opened.seq for row in rows),
        chips=_chips(wanted, people),
        period=(PERIODS[wanted.period][0], wanted.without("period")) if wanted.period else None,
        picks=_picks(people),
        older=f"{url_for('audit.index')}?{urlencode(older)}" if older else "",
        before=before,
        watch={"audit": "1", "top": top, **wanted.query} if before is None else {},
    )


@bp.post("/audit/verify")
def verify() -> Response:
    """Follow the whole chain; the page shows how far it is, and what it found."""
    service.start_verifying(web.actor())
    return web.back(url_for("audit.index"))


@bp.get("/audit/export")
def export() -> Response:
    """The entries that fit as a file, `?format=jsonl|csv`."""
    kind = request.args.get("format", "jsonl")
    pieces = service.export(web.actor(), kind, Wanted.of(request.args).conditions)
    g.kind = "download"
    response = Response(pieces, content_type=f"{TYPES[kind]}; charset=utf-8")
    response.headers["Content-Disposition"] = f'attachment; filename="audit.{kind}"'
    return response


@slots.fill("stream")
def fill_stream(actor: Actor, watch: Mapping[str, str]) -> dict[str, Any]:
    """The newest entries of an open page, with its filters."""
    if "audit" not in watch or not accounts.may(actor, "audit:read"):
        return {}
    top = watch.get("top", "")
    return {"audit": _Newest(actor, Wanted.of(watch), int(top) if top.isdecimal() and len(top) < 19 else 0)}


class _Newest:
    """Puts what was sealed since onto the page, and draws the state of the chain."""

    def __init__(self, actor: Actor, wanted: Wanted, top: int) -> None:
        self._actor = actor
        self._wanted = wanted
        self._top = top

    def keeps(self, fact: Any) -> bool:
        """Whether a fact changes the page."""
        return isinstance(fact.event, (events.RecordGrew, events.Verifying, events.Verified))

    def draw(self, fact: Any) -> list[str]:
        """The new rows, each in place of itself if it is there, and the line that tells of the chain."""
        if not self.keeps(fact):
            return []
        people = _people(self._actor)
        far = (fact.event.done, fact.event.of) if isinstance(fact.event, events.Verifying) else None
        chain = render_template("audit/_chain.html", **_chain(self._actor, people, far))
        drawn = [live.partial("#audit-chain", "outerHTML", chain)]
        if isinstance(fact.event, events.RecordGrew):
            drawn += self._rows(people)
        return drawn

    def _rows(self, people: Mapping[str, str]) -> list[str]:
        newer = Condition("seq", self._top + 1, "gte")
        found = service.entries(self._actor, [*self._wanted.conditions, newer], limit=SHOWN)
        names = _names(self._actor, people, found)
        drawn = []
        for one in reversed(found):
            row = render_template("audit/_row.html", row=_row(one, people, names), wanted=self._wanted, opened=None)
            drawn += [live.partial(f"#entry-{one.seq}", "delete"), live.partial("#audit-rows", "afterbegin", row)]
        if found:
            self._top = found[0].seq
            drawn.append(live.partial("#audit-none", "delete"))
        return drawn


def _chain(actor: Actor, people: Mapping[str, str], far: tuple[int, int] | None = None) -> dict[str, Any]:
    """How the chain stands; `far`: what another process tells of a look that goes on there."""
    standing: Standing = service.standing(actor)
    by = people.get(standing.look.user, "") if standing.look else ""
    return {"standing": standing, "progress": standing.progress or far, "looked_by": by}


def _names(actor: Actor, people: Mapping[str, str], found: Iterable[Entry]) -> dict[str, str]:
    """What the entries' targets are called, as far as the actor may know it."""
    return {**people, **slots.gather("names", actor, {one.target for one in found})}


def _row(one: Entry, people: Mapping[str, str], names: Mapping[str, str]) -> Row:
    person = people.get(one.user, "")
    who = {"user": person or one.actor or "somebody unknown", "system": "Server", "visitor": "a visitor"}.get(
        one.actor_kind, f"{one.actor_kind} of {person or one.user}"
    )
    act = ACTS[one.action].told(one.result) if one.action in ACTS else one.action
    return Row(one, who, act, names.get(one.target, ""))


def _picks(people: Mapping[str, str]) -> dict[str, list[dict[str, str]]]:
    """What the filters offer."""
    acts = sorted(ACTS.values(), key=lambda act: act.words)
    return {
        "who": [{"id": "", "name": "anybody"}, *({"id": person, "name": name} for person, name in people.items())],
        "act": [{"id": "", "name": "any"}, *({"id": act.name, "name": act.words} for act in acts)],
        "via": [{"id": "", "name": "any"}, *({"id": way, "name": through(way)} for way in WAYS)],
        "result": [{"id": "", "name": "any"}, *({"id": name, "name": name} for name in RESULTS)],
        "period": [{"id": "", "name": "all"}, *({"id": key, "name": words} for key, (words, _) in PERIODS.items())],
    }


def _chips(wanted: Wanted, people: Mapping[str, str]) -> list[tuple[str, str]]:
    """The filters that are set, in words, each with the address of the page without it."""
    return [
        (f"{WORDS[name]} {_said(name, text, people)}".strip(), wanted.without(name))
        for name, text in wanted.values.items()
    ]


def _said(name: str, text: str, people: Mapping[str, str]) -> str:
    """A filter's value in words."""
    if name == "who":
        return people.get(text, text)
    if name == "via":
        return through(text)
    return ACTS[text].words if name == "act" and text in ACTS else text


def _people(actor: Actor) -> dict[str, str]:
    known = {"system": "Server"}
    if accounts.may(actor, "users:read"):
        known |= {person.id: person.name for person in accounts.list_users(actor)}
    return known


def _number(name: str) -> int | None:
    text = request.args.get(name, "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else None
