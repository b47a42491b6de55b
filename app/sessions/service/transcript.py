"""What people and clients do with sessions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import sqlalchemy as sa
from orjson import Fragment

from app import db, ids, record, redact
from app.accounts import service as accounts
from app.actor import Actor, Scope
from app.errors import Busy, Conflict, Denied, Invalid, NotFound, Problem
from app.projects import service as projects
from app.sessions import events
from app.sessions.service import attachments, modes, presets, rows, rules, runs
from app.sessions.service import visibility as seeing
from app.sessions.service.rows import MESSAGES, PARTS, RUNS, SESSIONS
from app.sessions.things import Message, Part, Run, Session, run_of, session_of
from app.spelling import Spelling

TITLE_LENGTH = 80
LONGEST = {"mode": 64, "provider": 64, "model": 128, "preset": 32}
_ID = re.compile(r"[A-Za-z0-9_-]{4,40}")


class Place(Protocol):
    """Where a session works: a project and a directory in it."""

    @property
    def project(self) -> Any:
        """The project, a thing with an id."""
        ...

    @property
    def directory(self) -> Any:
        """The directory in it."""
        ...


def get(actor: Actor, session_id: str) -> Session:
    """One session."""
    with db.read() as connection:
        session = rows.session(connection, session_id)
    accounts.require(actor, "sessions:read", session)
    return session


def get_many(actor: Actor, session_ids: list[str]) -> dict[str, Session]:
    """Those of the sessions that the actor may read, by id."""
    with db.read() as connection:
        found = connection.execute(sa.select(SESSIONS).where(SESSIONS.c.id.in_(session_ids)))
        sessions = [session_of(row) for row in found]
    return {s.id: s for s in sessions if accounts.may(actor, "sessions:read", s)}


def create(
    actor: Actor,
    place: Place,
    *,
    title: str = "",
    parent_id: str | None = None,
    mode: str = "",
    provider: str = "",
    model: str = "",
    preset: str = "",
    visibility: str = "",
    worktree: str | None = None,
    own_rules: rules.Rules = (),
) -> Session:
    """Begin a session in a project's directory; idle until the first prompt; preset "" is the usual one.

    With `worktree` it gets a git worktree of its own, on a branch named after those words, unless it is private.
    `own_rules` hold in it alone. `visibility` is private or team, "" what its owner has chosen for new ones; below a
    private session it is private in any case. Raises Denied for a preset that answers what the actor may not.
    """
    require_place(actor, place.project)
    preset = preset or presets.lowered("ask")
    mode = mode or modes.default_mode(str(place.directory))
    _check(title=title or "x", mode=mode, provider=provider, model=model, preset=preset)
    seen = seeing.checked(visibility) if visibility else seeing.default(actor.user)
    modes.model_of(mode, str(place.directory))
    if worktree is not None:
        words = seeing.words_for_all(worktree, seen, parent_id)
        place = projects.with_worktree(actor, place.project, Path(place.directory), words)
    now = ids.now()
    kind = "Child" if parent_id else "New"
    session = Session(
        id=ids.descending("ses"),
        project=place.project.id,
        directory=str(place.directory),
        parent_id=parent_id,
        title=db.storable(title) or f"{kind} session - {_iso(now)}",
        mode=mode,
        provider=provider,
        model=model,
        preset=preset,
        owner=actor.user,
        visibility=seen,
        via=actor.via,
        state="idle",
        cost=0.0,
        tokens={},
        additions=0,
        deletions=0,
        files=0,
        todos=[],
        revert=None,
        last_act="",
        created=now,
        updated=now,
        archived=None,
    )
    try:
        return _store(actor, session, own_rules)
    except Problem:
        if worktree is not None:
            projects.release(session.directory)
        raise


def update(actor: Actor, session_id: str, *, own_rules: rules.Rules = (), **changes: Any) -> Session:
    """Change title, visibility, mode, provider, model, preset or archived (0: not any more); None leaves as it is.

    Who sees it (private or team) is for its owner alone to say, and ends its link. `own_rules` are added to those that
    hold in this session alone.
    """
    changes = {name: value for name, value in changes.items() if value is not None}
    seen = changes.pop("visibility", None)
    with db.transaction() as connection:
        is_told = seen is not None
        session = (
            seeing.hold_still(connection, session_id) if is_told else rows.session(connection, session_id, lock=True)
        )
        accounts.require(actor, "sessions:write", session)
        _check(**changes)
        if "mode" in changes:
            modes.model_of(changes["mode"], session.directory)
        if "title" in changes:
            changes["title"] = db.storable(changes["title"])
        if "archived" in changes:
            changes["archived"] = changes["archived"] or None
        if "preset" in changes:
            if actor.kind == "agent":
                raise Denied("An agent never changes what it may do, or who sees it.")
            presets.check_raise(actor, session, changes["preset"], session.preset)
            record.audit(connection, actor, "session.change", session_id, changes)
        rules.keep(connection, actor, session, own_rules)
        if seen is not None:
            session = seeing.choose(connection, actor, session, seen)
        return rows.change(connection, session, **changes) if changes or seen is None else session


def delete(actor: Actor, session_id: str) -> Session:
    """Delete a session, its children and all their data, past facts too; what runs is stopped."""
    with db.transaction() as connection:
        session = rows.session(connection, session_id)
        accounts.require(actor, "sessions:write", session)
        # First the runs, as everywhere: a run is locked before those of its subagents.
        runs.abort_all(connection, session)
        for child in _children(connection, session_id):
            delete(actor, child.id)
        runs.wake_parents(connection, session_id)
        # Runs and session are locked by now: whatever they still write about themselves is in the log already.
        session = rows.session(connection, session_id, lock=True)
        for table in (PARTS, MESSAGES, RUNS):
            connection.execute(table.delete().where(table.c.session_id == session_id))
        connection.execute(SESSIONS.delete().where(SESSIONS.c.id == session_id))
        record.forget(connection, session_id, events.AbortAsked, events.RunEnded)
        gone = replace(session, todos=[], revert=None, last_act="", share_slug=None, share=None, share_until=None)
        record.event(connection, events.SessionDeleted(session_id, gone.plain()), session)
        if session.share_slug is not None:
            record.event(connection, events.ShareEnded(session_id, session.share_slug), session)
        record.audit(connection, actor, "session.delete", session_id, {"title": redact.text(session.title)})
    return session


def children(actor: Actor, session_id: str) -> list[Session]:
    """The sessions started from this one."""
    accounts.require(actor, "sessions:read", get(actor, session_id))
    with db.read() as connection:
        return [s for s in _children(connection, session_id) if accounts.may(actor, "sessions:read", s)]


def transcript(actor: Actor, session_id: str) -> list[Message]:
    """All messages with their parts, in order."""
    with db.read() as connection:
        accounts.require(actor, "sessions:read", rows.session(connection, session_id))
        return rows.messages(connection, session_id)


def spell_transcript(
    actor: Actor, session_id: str, spelling: Spelling[Message], *, before: str = "", limit: int | None = None
) -> Fragment:
    """The same messages as `transcript`, in a spelling that keeps what has not changed.

    Only those before a message's id, and of these only the newest `limit`.
    """
    with db.read() as connection:
        accounts.require(actor, "sessions:read", rows.session(connection, session_id))
        keys = rows.message_keys(connection, session_id, before)
        keys = keys[-limit:] if limit else keys

        def load(ids: list[str]) -> Iterator[tuple[str, Message]]:
            between = MESSAGES.c.id.between(ids[0], ids[-1])
            return ((found.id, found) for found in rows.messages(connection, session_id, between))

        return spelling.of(keys, load)


def message(actor: Actor, session_id: str, message_id: str) -> Message:
    """One message with its parts."""
    with db.read() as connection:
        accounts.require(actor, "sessions:read", rows.session(connection, session_id))
        found = rows.messages(connection, session_id, MESSAGES.c.id == message_id)
    if not found:
        raise NotFound("message", message_id)
    return found[0]


def send(
    actor: Actor,
    session_id: str,
    parts: list[dict[str, Any]],
    *,
    mode: str = "",
    provider: str = "",
    model: str = "",
    message_id: str | None = None,
    system: str | None = None,
    tools: dict[str, bool] | None = None,
    no_reply: bool = False,
    mentions: bool = False,
    acp_session: str | None = None,
) -> tuple[Message, str | None]:
    """Put a prompt into the session and queue a run for it; returns the message and the run's id.

    `parts` are neutral: {type: text|file|agent, …, id?}; with `mentions` a text's `@path` attaches that file. While
    a run is busy the prompt waits its turn. `acp_session` names another agent's session that is to answer; Invalid, for
    no such agent is attached to this server, and none of ours may answer in its place.
    """
    if acp_session is not None:
        accounts.require(actor, "sessions:run", get(actor, session_id))
        raise Invalid("No ACP session with this id is attached to this server.", "acpConnection.sessionId")
    if not parts:
        raise Invalid("A prompt needs at least one part.", "parts")
    _check(mode=mode, provider=provider, model=model)
    parts = [one for part in parts for one in _with_words(part)]
    check_ids(message_id, parts)
    if mentions or any(part["type"] == "file" for part in parts):
        parts = attachments.expand(actor, get(actor, session_id).directory, parts, mentions=mentions)
    mode, provider, model = mode_and_model(actor, session_id, mode, provider, model)
    with db.transaction() as connection:
        session = rows.session(connection, session_id, lock=True)
        accounts.require(actor, "sessions:run", session)
        if not no_reply:
            runs.check_owner(session, actor.user)
        session = drop_reverted(connection, session)
        data: dict[str, Any] = {"agent": mode, "model": {"providerID": provider, "modelID": model}, "by": actor.name}
        data |= {name: value for name, value in (("system", system), ("tools", tools)) if value}
        new = Message(message_id or ids.ascending("msg"), session_id, "user", data, ids.now(), None)
        new = replace(new, parts=[_part(new, part) for part in parts])
        try:
            rows.insert_message(connection, new, session)
        except sa.exc.IntegrityError:
            raise Conflict(f"The id {new.id}, or one of its parts, is already there.") from None
        changes: dict[str, Any] = {"mode": mode, "provider": provider, "model": model}
        if _has_default_title(session):
            changes["title"] = title_from(new)
        if no_reply:
            rows.change(connection, session, **changes)
            return new, None
        run_id = runs.queue(connection, session, new, mode, provider, model)
        rows.change(connection, session, state=session.state if session.is_busy else "queued", **changes)
    return new, run_id


def abort(actor: Actor, session_id: str) -> bool:
    """Stop what runs, waits or is queued, at once; False if nothing did."""
    with db.transaction() as connection:
        session = rows.session(connection, session_id)
        accounts.require(actor, "sessions:run", session)
        return runs.abort_all(connection, session)


def last_run(actor: Actor, session_id: str) -> Run | None:
    """The newest run of a session."""
    accounts.require(actor, "sessions:read", get(actor, session_id))
    query = sa.select(RUNS).where(RUNS.c.session_id == session_id).order_by(RUNS.c.id.desc()).limit(1)
    with db.read() as connection:
        row = connection.execute(query).first()
    return run_of(row) if row else None


def set_revert(actor: Actor, session_id: str, revert: dict[str, Any] | None) -> Session:
    """Mark from which message on the session is reverted, or take the mark away; the session must be idle."""
    with db.transaction() as connection:
        session = rows.session(connection, session_id, lock=True)
        accounts.require(actor, "sessions:write", session)
        if session.is_busy:
            raise Busy(session_id)
        return rows.change(connection, session, revert=revert)


def set_figures(actor: Actor, session_id: str, additions: int, deletions: int, files: int) -> Session:
    """Store what the session changed since its start, in lines and files."""
    with db.transaction() as connection:
        session = rows.session(connection, session_id, lock=True)
        accounts.require(actor, "sessions:write", session)
        return rows.change(connection, session, additions=additions, deletions=deletions, files=files)


def text_of(connection: sa.Connection, part_id: str) -> str | None:
    """The text of a part as stored now."""
    text: str | None = connection.scalar(sa.select(PARTS.c.text).where(PARTS.c.id == part_id))
    return text


def directory_of(connection: sa.Connection, session_id: str) -> str | None:
    """The directory that a session works in; None if there is no such session."""
    found: str | None = connection.scalar(sa.select(SESSIONS.c.directory).where(SESSIONS.c.id == session_id))
    return found


def title_from(message: Message) -> str:
    """A session's title from its first prompt: the first line with words, cut at a word."""
    own = (part for part in message.parts if part.type == "text" and not part.data.get("synthetic"))
    text = " ".join(_own_words(part) for part in own).strip()
    line = next((line.strip() for line in db.storable(text).splitlines() if line.strip()), "") or "Untitled"
    if len(line) <= TITLE_LENGTH:
        return line
    return line[:TITLE_LENGTH].rsplit(" ", 1)[0] + "…"


def _own_words(part: Part) -> str:
    """What somebody wrote: of a slash command its name and arguments, not the prompt that it stands for."""
    told = (part.data.get("metadata") or {}).get("command")
    return f"/{told['name']} {told['arguments']}" if isinstance(told, dict) else str(part.data.get("text", ""))


def _store(actor: Actor, session: Session, own_rules: rules.Rules) -> Session:
    """Write a new session and announce it; one below a private session is private too."""
    with db.transaction() as connection:
        above = rows.session(connection, session.parent_id, lock=True) if session.parent_id else None
        if above is not None:
            accounts.require(actor, "sessions:write", above)
            session = replace(session, visibility="private") if above.visibility == "private" else session
        presets.check_raise(actor, session, session.preset, above.preset if above else "")
        connection.execute(SESSIONS.insert().inline(), session.plain())
        record.event(connection, events.SessionCreated(session.id, session.plain()), session)
        record.event(connection, events.SessionUpdated(session.id, session.plain()), session)
        rules.keep(connection, actor, session, own_rules)
    return session


def require_place(actor: Actor, project: Any) -> None:
    """Whoever may see a project may start a session in it: the session will be their own."""
    accounts.require(actor, "sessions:write", Scope(actor.user, project.id))
    if getattr(project, "visibility", "team") == "private":
        accounts.require(actor, "sessions:write", project)


def _check(**values: Any) -> None:
    """Raise Invalid for a value that a session cannot hold; names that have no rule pass."""
    if not values.get("title", "x").strip():
        raise Invalid("A title needs at least one character.", "title")
    for name, most in LONGEST.items():
        value = values.get(name, "")
        if len(value) > most or "\0" in value:
            raise Invalid(f"{name} has at most {most} characters.", name)
    if "preset" in values:
        presets.check(values["preset"])


def check_ids(message_id: str | None, parts: list[dict[str, Any]]) -> None:
    """Ids that a client made have the form of ours."""
    given = [("messageID", "msg", message_id), *(("parts", "prt", part.get("id")) for part in parts)]
    for field, prefix, value in given:
        if value is not None and not (value.startswith(prefix) and _ID.fullmatch(value)):
            raise Invalid(f"{value!r} is no id: one begins with {prefix} and has 40 letters and digits at most.", field)


def _children(connection: sa.Connection, session_id: str) -> list[Session]:
    query = sa.select(SESSIONS).where(SESSIONS.c.parent_id == session_id).order_by(SESSIONS.c.id)
    return [session_of(row) for row in connection.execute(query)]


def _part(message: Message, given: dict[str, Any]) -> Part:
    data = {key: value for key, value in given.items() if key not in ("id", "type", "sessionID", "messageID")}
    return Part(given.get("id") or ids.ascending("prt"), message.id, message.session_id, given["type"], data)


def mode_and_model(actor: Actor, session_id: str, mode: str, provider: str, model: str) -> tuple[str, str, str]:
    """The mode of a prompt and what answers it: the named model, else its mode's, the session's, the default one.

    Looked up before the write begins: it may read files, or ask a server of this machine.
    """
    session = get(actor, session_id)
    named = modes.model_of(mode or session.mode, session.directory)
    if provider and model:
        return mode or session.mode, provider, model
    if not (provider or model) and all(named):
        return mode or session.mode, *named
    provider, model = provider or session.provider, model or session.model
    found = (provider, model) if provider and model else modes.default_model(session.directory, session.owner)
    return mode or session.mode, *found


def _with_words(part: dict[str, Any]) -> list[dict[str, Any]]:
    """A mention of a subagent, with the words that tell the model what it means."""
    if part["type"] != "agent":
        return [part]
    words = f"Call the task tool with the subagent {part.get('name', '')!r} for what is asked here."
    return [part, {"type": "text", "text": words, "synthetic": True}]


def drop_reverted(connection: sa.Connection, session: Session) -> Session:
    """A new prompt makes a revert final: what was reverted leaves the transcript."""
    if not session.revert:
        return session
    first, part_id = session.revert["messageID"], session.revert.get("partID")
    gone = rows.messages(connection, session.id, MESSAGES.c.id >= first)
    for old in gone:
        kept = part_id is not None and old.id == first
        where = PARTS.c.message_id == old.id
        connection.execute(PARTS.delete().where(where, PARTS.c.id >= part_id) if kept else PARTS.delete().where(where))
        if kept:
            rows.mark_changed(connection, old.id)
            for part in old.parts:
                if part_id and part.id >= part_id:
                    record.event(connection, events.PartRemoved(session.id, old.id, part.id), session)
        else:
            connection.execute(MESSAGES.delete().where(MESSAGES.c.id == old.id))
            record.event(connection, events.MessageRemoved(session.id, old.id), session)
    return rows.change(connection, session, revert=None)


def _has_default_title(session: Session) -> bool:
    return session.title.startswith(("New session - ", "Child session - "))


def _iso(now: int) -> str:
    return datetime.fromtimestamp(now / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
