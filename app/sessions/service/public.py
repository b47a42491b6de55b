"""What a stranger is shown of a shared session: chosen field by field, so that what is added later stays inside.

Messages, diffs and the names of files in the project; what tools gave back only if the share says so. Never costs,
other people's names, secrets, or where things lie on this machine.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import sqlalchemy as sa

from app import config, db, redact
from app.accounts import service as accounts
from app.actor import SYSTEM, Actor
from app.errors import Problem
from app.projects import service as projects
from app.sessions.service import rows, sharing, windows
from app.sessions.service.rows import MESSAGES, PARTS
from app.sessions.things import Message, Part, Session, Share, message_of, part_of

WORKSPACE = "/home/user"  # what the session's directory is called too in the world of its commands
HIDDEN = ""  # the path of a file that is not the project's
SOMEBODY = "Somebody"
_FIGURES = ("exit", "additions", "deletions", "first", "last", "lines", "matches", "count", "status", "interrupted")
_PATHS = ("filePath", "file_path", "path")
_WORDS = ("command", "pattern", "query", "description", "subagent_type")
_TASKS = ("task", "new_task")
Data = dict[str, Any]


@dataclass(frozen=True)
class Veil:
    """How one shared session is shown: under which share, and without which places of this machine."""

    session: Session
    share: Share
    roots: tuple[str, ...]

    @classmethod
    def of(cls, session: Session) -> Veil | None:
        """That of a session; None if it is not shared (any more)."""
        share = sharing.share_of(session)
        return None if share is None else cls(session, share, tuple(dict.fromkeys(_roots(session))))

    def text(self, text: str) -> str:
        """A text without secrets, and with places of this machine cut down to what lies in the project."""
        return self._places.sub(self._shorter, redact.text(text))

    def growing(self, text: str) -> str:
        """A text that goes on, without what at its end may become the name of a place."""
        for place in self._shorts:
            for length in range(min(len(place), len(text)), 1, -1):
                if text.endswith(place[:length]):
                    return self.text(text[:-length])
        return self.text(text)

    def path(self, path: str) -> str:
        """A file's path within the project; HIDDEN if it lies elsewhere."""
        for root in self.roots:
            if path == root or path.startswith(f"{root}/"):
                path = path[len(root) :].lstrip("/") or "."
        pure = PurePosixPath(path)
        return HIDDEN if pure.is_absolute() or path.startswith("~") or ".." in pure.parts else redact.text(path)

    def data(self, value: Any) -> Any:
        """JSON-able data with every text in it shown so."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {key: self.data(item) for key, item in value.items()}
        return [self.data(item) for item in value] if isinstance(value, list) else value

    @cached_property
    def _shorts(self) -> dict[str, str]:
        """What stands for each place, longest place first."""
        found = dict.fromkeys(self.roots, "")
        data, home = str(config.current().data_dir.resolve()), str(Path.home())
        above = {str(PurePosixPath(root).parent): "…" for root in self.roots}
        found = {**above, home: "~", data: "…", **found}
        found.pop("/", None)
        return dict(sorted(found.items(), key=lambda item: len(item[0]), reverse=True))

    @cached_property
    def _places(self) -> re.Pattern[str]:
        each = "|".join(map(re.escape, self._shorts))
        return re.compile(rf"({each})(/|(?![\w-]))")

    def _shorter(self, match: re.Match[str]) -> str:
        short = self._shorts[match[1]]
        return short + match[2] if short else ("" if match[2] else ".")


def window(visitor: Actor, veil: Veil, before: str, limit: int) -> tuple[list[Message], bool]:
    """The newest messages as strangers see them, in order, and whether there are earlier ones (see windows.window)."""
    found, has_earlier = windows.window(visitor, veil.session.id, before=before, limit=limit)
    return [shown for message in found if (shown := veiled(veil, message)) is not None], has_earlier


def message(visitor: Actor, veil: Veil, message_id: str, part_id: str = "") -> Message | None:
    """One message as strangers see it, or no more of it than one part; None if it is gone, or set aside."""
    these = (MESSAGES.c.id == message_id, MESSAGES.c.session_id == veil.session.id)
    those = (PARTS.c.message_id == message_id, *([PARTS.c.id == part_id] if part_id else []))
    with db.read() as connection:
        accounts.require(visitor, "sessions:read", rows.session(connection, veil.session.id))
        row = connection.execute(sa.select(MESSAGES).where(*these)).first()
        parts = [part_of(one) for one in connection.execute(sa.select(PARTS).where(*those).order_by(PARTS.c.id))]
    return veiled(veil, message_of(row, parts)) if row else None


def session(veil: Veil) -> Session:
    """The session's own words as strangers see them."""
    shown = veil.session
    todos = [{"status": one.get("status"), "content": veil.text(str(one.get("content", "")))} for one in shown.todos]
    return replace(shown, title=veil.text(shown.title), todos=todos, directory="", last_act="", cost=0.0)


def veiled(veil: Veil, message: Message) -> Message | None:
    """A message as strangers see it; None for one behind the point that the session is set back to."""
    mark = veil.session.revert or {}
    first, part_id = mark.get("messageID"), mark.get("partID") or ""
    if first and (message.id > first or (message.id == first and not part_id)):
        return None
    standing = message.parts
    if first == message.id:
        standing = [part for part in standing if part.id < part_id]
    by = message.data.get("by")
    data = {
        "by": veil.share.name if by == veil.share.name or not accounts.has_team() else SOMEBODY,
        "failed": bool(message.data.get("error")),
        "summary": bool(message.data.get("summary")),
    }
    return replace(message, data=data, parts=_parts(veil, standing))


def _parts(veil: Veil, parts: Iterable[Part]) -> list[Part]:
    found = []
    for part in parts:
        shape = _SHAPES.get(part.type)
        data = shape(veil, part.data) if shape else None
        if data is not None:
            found.append(replace(part, data=data))
    return found


def _text(veil: Veil, data: Data) -> Data | None:
    if data.get("synthetic"):
        return None
    time = data.get("time") or {}
    written = veil.growing if "start" in time and "end" not in time else veil.text
    return {"text": written(data.get("text", "")), "time": time}


def _file(veil: Veil, data: Data) -> Data:
    name = PurePosixPath(veil.path(str(data.get("filename") or ""))).name
    return {"filename": name or "a file", "mime": str(data.get("mime", ""))}


def _tool(veil: Veil, data: Data) -> Data:
    state = data.get("state") or {}
    given, told = state.get("input") or {}, state.get("metadata") or {}
    tool = str(data.get("tool", ""))
    named = [str(given[name]) for name in _PATHS if given.get(name)]
    path = veil.path(named[0]) if named else None
    shown: Data = {
        "tool": tool,
        "status": state.get("status"),
        "time": state.get("time"),
        "path": path,
        "child": str(told.get("sessionId") or ""),
        **{name: told[name] for name in _FIGURES if isinstance(told.get(name), int)},
        **{name: veil.text(given[name]) for name in _WORDS if isinstance(given.get(name), str)},
        **_address(given),
        **_diffs(veil, told, path),
        "title": veil.text(str(state.get("title") or "")) if path != HIDDEN else "",
    }
    if tool in _TASKS or veil.share.output:
        written = veil.text if state.get("status") in ("completed", "error") else veil.growing
        shown["output"] = written(str(state.get("output") or told.get("output") or state.get("error") or ""))
    if veil.share.output:
        shown["input"] = veil.data(given)
    return shown


def _address(given: Data) -> Data:
    """Where a page was fetched from; what stands behind a question mark may be a key."""
    return {"url": str(given["url"]).partition("?")[0]} if isinstance(given.get("url"), str) else {}


def _diffs(veil: Veil, told: Data, path: str | None) -> Data:
    """What a call changed in the project, as files with their diffs; a file elsewhere is none of it."""
    counts = told.get("filediff") or {}
    files = told["files"] if isinstance(told.get("files"), list) else []
    if not files and isinstance(told.get("diff"), str) and told["diff"]:
        figures = {name: counts.get(name, 0) for name in ("additions", "deletions")}
        files = [{"path": path if path is not None else counts.get("file", ""), "diff": told["diff"], **figures}]
    shown = [
        {
            "path": veil.path(str(one.get("path", ""))),
            "to": veil.path(str(one["to"])) if one.get("to") else "",
            "type": one.get("type", ""),
            "diff": veil.text(str(one.get("diff", ""))),
            "additions": one.get("additions", 0),
            "deletions": one.get("deletions", 0),
        }
        for one in files
        if isinstance(one, dict)
    ]
    return {"files": [one for one in shown if one["path"]]} if shown else {}


def _roots(session: Session) -> Iterable[str]:
    yield session.directory
    yield WORKSPACE
    try:
        yield projects.get(SYSTEM, session.project).root
    except Problem:  # the project was taken off the list: its session has its own directory still
        return


_SHAPES: dict[str, Callable[[Veil, Data], Data | None]] = {
    "text": _text,
    "reasoning": _text,
    "file": _file,
    "tool": _tool,
    "patch": lambda _veil, data: {"files": len(data.get("files") or [])},
    "agent": lambda veil, data: {"name": veil.text(str(data.get("name", "")))},
    "compaction": lambda _veil, _data: {},
    "retry": lambda _veil, data: {"attempt": data.get("attempt", 1)},
}
