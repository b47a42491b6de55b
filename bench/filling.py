"""Fills a migrated database with a team's year of work, by bulk inserts instead of turns."""

from __future__ import annotations

import itertools
import random
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from app import ids, record
from app.accounts import service as accounts
from app.approvals import models as asking
from app.approvals import things
from app.projects import models as projects
from app.sessions import models
from app.sessions.events import MessageUpdated, PartUpdated
from app.sessions.service import Message, Part, Session

YEAR = 365 * 86_400_000
STEP = 20_000  # ms from message to message
PROJECTS = 8
BATCH = 2_000  # rows of one statement
SYLLABLES = ("ba", "co", "di", "fer", "gu", "len", "mor", "ni", "po", "ras", "ti", "vel")
# As in any language: few words are in every sentence, most are rare. "invoice" and "rounding" are among the common.
WORDS = ["".join(each) for each in itertools.product(SYLLABLES, repeat=3)]
WORDS[20], WORDS[60] = "invoice", "rounding"
WEIGHTS = list(itertools.accumulate(1 / rank for rank in range(1, len(WORDS) + 1)))
COMMANDS = ("python3 -m unittest -q", "git status --short", "make build", "git push -u origin fix/{}")


@dataclass
class Filling:
    """How much there is to be; `longest` messages are in one session, `waiting` asks still wait."""

    sessions: int = 10_000
    messages: int = 50_000
    longest: int = 2_000
    waiting: int = 200
    long_id: str = ""
    asking_id: str = ""
    rows: dict[sa.Table, list[dict[str, Any]]] = field(default_factory=dict)


def fill(connection: sa.Connection, filling: Filling, base: Path) -> None:
    """Write it all; the sessions work in repositories below `base`."""
    dice = random.Random(7)
    owner, now = accounts.local_owner().user, ids.now()
    places = [_project(connection, owner, base / f"project-{n}", now) for n in range(PROJECTS)]
    each, more = divmod(filling.messages - filling.longest, filling.sessions - 1)
    for number in range(filling.sessions):
        is_long = number == filling.sessions - 1
        count = filling.longest if is_long else each + (number < more)
        began = now - YEAR + number * (YEAR // filling.sessions)
        session = _session(dice, owner, *places[number % PROJECTS], began, waits=_waits(filling, number))
        filling.long_id = session.id if is_long else filling.long_id
        _put(connection, filling, models.sessions, session.plain())
        _talk(connection, filling, dice, session, count)
    for table in list(filling.rows):
        _flush(connection, filling, table)


def _project(connection: sa.Connection, owner: str, root: Path, now: int) -> tuple[str, str]:
    root.mkdir(parents=True)
    subprocess.run(["git", "init", "-q", "-b", "main", str(root)], check=True)
    row = {"id": ids.random("prj"), "name": root.name, "root": str(root), "git_root": "", "vcs": True, "origin": ""}
    row |= {"state": "ready", "progress": {}, "owner": owner, "visibility": "team", "created": now}
    connection.execute(projects.project.insert(), {**row, "initialized": now, "beat": 0})
    return str(row["id"]), str(root)


def _session(dice: random.Random, owner: str, project: str, root: str, began: int, *, waits: bool) -> Session:
    return Session(
        id=ids.descending("ses"),
        project=project,
        directory=root,
        parent_id=None,
        title=_say(dice, 5).capitalize(),
        mode="build",
        provider="demo",
        model="walkthrough",
        preset="ask",
        owner=owner,
        visibility="team",
        via="opencode",
        state="waiting" if waits else "idle",
        cost=dice.random(),
        tokens={"input": 900, "output": 120},
        additions=dice.randrange(90),
        deletions=dice.randrange(40),
        files=3,
        todos=[],
        revert=None,
        last_act=_say(dice, 6),
        created=began,
        updated=began + 600_000,
        archived=None,
    )


def _talk(connection: sa.Connection, filling: Filling, dice: random.Random, session: Session, count: int) -> None:
    """Prompts and answers in turn, with a run for each prompt and an ask in the last answer."""
    at, prompt, parts = session.created, "", []
    for number in range(count):
        at += STEP if count < 100 else STEP // 100
        by_agent = number % 2 == 1
        message = _message(session, prompt if by_agent else "", at)
        parts = list(_answer(dice, message, at) if by_agent else _prompt(dice, message))
        _put(connection, filling, models.messages, message.plain())
        _log(connection, filling, session, MessageUpdated(session.id, message.plain()), at)
        for part in parts:
            _put_part(connection, filling, part)
            _log(connection, filling, session, PartUpdated(session.id, part.plain()), at)
        if not by_agent:
            prompt = message.id
            waits = session.state == "waiting" and number + 2 >= count
            run = _run(session, prompt, at, waits=waits)
            _put(connection, filling, models.runs, run)
        elif number + 2 >= count:
            _put_ask(connection, filling, session, run, parts[-1])


def _message(session: Session, parent: str, at: int) -> Message:
    data: dict[str, Any] = {"agent": "build", "by": "Bench"}
    if parent:
        tokens = {"input": 900, "output": 120, "reasoning": 0, "cache": {"read": 0, "write": 0}}
        data = {"parentID": parent, "providerID": "demo", "modelID": "walkthrough", "mode": "build", "cost": 0.01}
        data |= {"tokens": tokens, "path": {"cwd": session.directory, "root": session.directory}}
    role = "assistant" if parent else "user"
    return Message(ids.ascending("msg"), session.id, role, data, at, at + STEP // 2 if parent else None)


def _prompt(dice: random.Random, message: Message) -> Iterator[Part]:
    yield _part(message, "text", {"text": _say(dice, 24)})


def _answer(dice: random.Random, message: Message, at: int) -> Iterator[Part]:
    yield _part(message, "text", {"text": _say(dice, 60), "time": {"start": at, "end": at + 900}})
    looked = {"status": "completed", "input": {"filePath": "billing/proration.py"}, "output": _say(dice, 120)}
    looked |= {"title": "billing/proration.py", "metadata": {"lines": 80}, "time": {"start": at, "end": at + 20}}
    yield _part(message, "tool", {"callID": ids.random("call"), "tool": "read", "state": looked})
    ran = {
        "status": "completed",
        "input": {"command": dice.choice(COMMANDS).format(_say(dice, 1))},
        "output": _say(dice, 40),
    }
    ran |= {"title": "", "metadata": {"exit": 0}, "time": {"start": at, "end": at + 800}}
    yield _part(message, "tool", {"callID": ids.random("call"), "tool": "bash", "state": ran})


def _part(message: Message, kind: str, data: dict[str, Any]) -> Part:
    return Part(ids.ascending("prt"), message.id, message.session_id, kind, data)


def _run(session: Session, message_id: str, at: int, *, waits: bool) -> dict[str, Any]:
    row = {"id": ids.ascending("run"), "session_id": session.id, "message_id": message_id, "mode": "build"}
    row |= {"provider": "demo", "model": "walkthrough", "lease_owner": None, "lease_until": None, "fence": 1}
    row |= {"takeovers": 0, "abort": False, "error": None, "created": at, "started": at}
    return {**row, "state": "waiting" if waits else "completed", "ended": None if waits else at + STEP}


def _put_ask(connection: sa.Connection, filling: Filling, session: Session, run: dict[str, Any], part: Part) -> None:
    waits = run["state"] == "waiting"
    command = part.data["state"]["input"]["command"]
    call = things.Call("bash", {"command": command}, part.data["callID"], part.message_id, part.id)
    rule = {"tool": "bash", "pattern": "git push *" if "push" in command else command, "action": "allow"}
    told = {"text": command, "action": "ask", "why": "no rule matches", "tool": "bash", "rule": None, "always": rule}
    row = {"id": ids.ascending("per"), "kind": "approval", "session_id": session.id, "above": "/", "run_id": run["id"]}
    row |= {"message_id": part.message_id, "part_id": part.id, "call_id": call.call_id}
    row |= {"call_hash": call.hash(session.id), "tool": "bash", "input": call.input, "title": command, "metadata": {}}
    row |= {"patterns": [command], "why": "no rule matches", "parts": [told], "always": [rule], "questions": []}
    row |= {"mode": "build", "owner": session.owner, "project": session.project, "visibility": session.visibility}
    row |= {"state": "waiting" if waits else "answered", "reply": "" if waits else "once", "word": "", "answers": []}
    row |= {"added": [], "answered_by": "" if waits else session.owner, "answered_name": "" if waits else "Bench"}
    row |= {"created": session.updated, "answered": None if waits else session.updated + 5_000}
    filling.asking_id = str(row["id"]) if waits else filling.asking_id
    _put(connection, filling, asking.asks, row)


def _put_part(connection: sa.Connection, filling: Filling, part: Part) -> None:
    text = part.data.get("text")
    data = {key: value for key, value in part.data.items() if key != "text"}
    _put(connection, filling, models.parts, {**part.plain(), "data": data, "text": text})
    state = part.data.get("state", {})
    words = text or f"{part.data['tool']} {' '.join(state['input'].values())} {state['output']}"
    known = {"part_id": part.id, "message_id": part.message_id, "session_id": part.session_id}
    _put(connection, filling, models.part_words, {**known, "words": words})


def _log(connection: sa.Connection, filling: Filling, session: Session, fact: record.Event, at: int) -> None:
    data = dict(fact.__dict__)
    row = {"xid": 0, "kind": fact.kind, "session_id": session.id, "owner": session.owner, "project": session.project}
    _put(connection, filling, record.events, {**row, "visibility": session.visibility, "data": data, "at": at})


def _put(connection: sa.Connection, filling: Filling, table: sa.Table, row: dict[str, Any]) -> None:
    rows = filling.rows.setdefault(table, [])
    rows.append(row)
    if len(rows) >= BATCH:
        _flush(connection, filling, table)


def _flush(connection: sa.Connection, filling: Filling, table: sa.Table) -> None:
    """Write what waits; a row's session, message and part come before it."""
    for one in models.sessions, models.messages, models.parts, table:
        if filling.rows.get(one):
            connection.execute(one.insert().inline(), filling.rows.pop(one))
        if one is table:
            return


def _waits(filling: Filling, number: int) -> bool:
    """The newest sessions but the last one wait."""
    return filling.sessions - 1 - filling.waiting <= number < filling.sessions - 1


def _say(dice: random.Random, count: int) -> str:
    return " ".join(dice.choices(WORDS, cum_weights=WEIGHTS, k=count))
