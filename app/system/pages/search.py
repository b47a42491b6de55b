"""The command bar: one search over what waits, sessions, files and pages, and the list of keys."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from flask import Response, request, url_for

from app import web
from app.accounts import service as accounts
from app.actor import Actor
from app.agent import service as agent
from app.approvals import service as approvals
from app.errors import Problem
from app.files import service as files
from app.projects import service as projects
from app.projects.service import Place
from app.sessions import service as sessions
from app.system import bp

MOST = 5
LONGEST = 200
STATES = {"waiting": "needs you", "queued": "queued", "running": "running", "failed": "failed"}
PAGES = (
    ("Home", "system.home", "house", "G H"),
    ("Inbox", "approvals.index", "inbox", "G I"),
    ("Sessions", "sessions.index", "messages-square", "G S"),
    ("Projects", "projects.index", "folder-git-2", "G P"),
    ("Files", "files.index", "folder-tree", "G F"),
    ("Checkpoints", "checkpoints.index", "history", "G C"),
    ("Terminals", "terminals.index", "square-terminal", "G T"),
    ("Settings: providers", "agent.providers", "sliders-horizontal", ""),
    ("Settings: models and prices", "agent.models", "sliders-horizontal", ""),
    ("Settings: profiles", "agent.profiles_page", "sliders-horizontal", ""),
    ("Settings: modes", "agent.modes_page", "sliders-horizontal", ""),
    ("Settings: import from Roo", "agent.import_page", "sliders-horizontal", ""),
    ("Settings: configuration", "settings.configuration", "sliders-horizontal", ""),
    ("Settings: language servers", "languages.index", "sliders-horizontal", ""),
    ("All keys", "system.keys", "info", "?"),
)
# Every key that the pages obey, as the list shows them; static/keys.js holds what each of them does.
KEYS: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = (
    (
        "Everywhere",
        (
            ("Ctrl K", "Search or jump"),
            ("/", "Search this page, or everywhere"),
            ("C", "New session"),
            ("J", "Next row"),
            ("K", "Row before"),
            ("O", "Open the row, as does Enter"),
            ("G H", "Go to Home"),
            ("G I", "Go to the inbox"),
            ("G S", "Go to Sessions"),
            ("G P", "Go to Projects"),
            ("G F", "Go to Files"),
            ("G C", "Go to Checkpoints"),
            ("G T", "Go to Terminals"),
            ("?", "These keys"),
            ("Esc", "Close what is open, leave a field"),
        ),
    ),
    (
        "What waits for you",
        (
            ("A", "The act: run, save, fetch, allow"),
            ("R", "Reject"),
            ("⇧ A", "Always; shows the rule first"),
            ("X", "Select a read, to answer it together with others like it"),
            ("1", "Pick a choice by its number; 0 is something else"),
        ),
    ),
    (
        "Session",
        (
            ("]", "Next prompt"),
            ("[", "Prompt before"),
            ("E", "Next error; on a file's page edit it"),
            ("D", "Changes"),
            ("T", "Terminal in its directory"),
            (".", "Stop the run"),
            ("Ctrl ⏎", "Send"),
            ("!", "First in a message: run a command of your own"),
            ("/", "First in a message: the commands to choose from"),
        ),
    ),
    (
        "Files",
        (
            ("T", "Go to a file by the letters of its name"),
            ("Ctrl S", "Save what is edited, and go on"),
        ),
    ),
    (
        "Terminals",
        (
            ("T", "New terminal"),
            ("Ctrl ⇧ F", "Search in the terminal"),
        ),
    ),
)


@dataclass(frozen=True)
class Hit:
    """One line: where it leads, its icon, its words, and what stands at the right.

    `ask` is what waits behind it, `path` the file that goes into a message under way, `put` the words that begin one.
    """

    href: str
    icon: str
    words: str
    note: str = ""
    key: str = ""
    updated: int | None = None
    ask: Any = None
    path: str = ""
    put: str = ""


@bp.get("/search")
def search() -> Response:
    """What the words may mean, in groups; without words what is nearest."""
    words = " ".join(request.args.get("q", "").split())[:LONGEST]
    at = request.args.get("at", "")
    context: dict[str, Any] = {"q": words, "at": at, "found": list(_groups(web.actor(), words, at))}
    if web.is_htmx():
        return web.page("system/_hits.html", **context)
    return web.page("system/search.html", **context)


@bp.get("/keys")
def keys() -> Response:
    """The list of keys."""
    if web.is_htmx():
        return web.page("system/_keys.html", keys=KEYS)
    return web.page("system/keys.html", keys=KEYS)


def _groups(actor: Actor, words: str, at: str) -> Iterator[tuple[str, list[Hit]]]:
    place = _place(actor, at) if words or at else None
    commands = ("Commands", _commands(actor, place, words, at))
    is_called = words.startswith("/")
    found = [
        commands if is_called else ("", []),
        ("Waiting for you", _waiting(actor, words)),
        ("Sessions", _sessions(actor, words)),
        ("Inside transcripts", _transcripts(actor, words)),
        (f"Files in {place.project.name}" if place else "", _files(actor, place if words else None, words, at)),
        ("", []) if is_called else commands,
        ("Actions", [*_actions(words), *_of_session(actor, words, at)]),
    ]
    return ((name, hits) for name, hits in found if hits)


def _waiting(actor: Actor, words: str) -> list[Hit]:
    if not accounts.may(actor, "approvals:answer"):
        return []
    return [
        Hit(
            url_for("approvals.show", ask_id=ask.id),
            "",
            str(ask.questions[0].get("question", "") if ask.questions else ask.metadata.get("filepath") or ask.title),
            ask.session_title or "Untitled",
            updated=ask.created,
            ask=ask,
        )
        for ask in approvals.find_waiting(actor, words, MOST)
    ]


def _sessions(actor: Actor, words: str) -> list[Hit]:
    if not accounts.may(actor, "sessions:read"):
        return []
    known = {one.id: one.name for one in projects.list_all(actor)} if accounts.may(actor, "projects:read") else {}
    return [
        Hit(
            url_for("sessions.show", session_id=session.id),
            "messages-square",
            session.title or "Untitled",
            ", ".join(word for word in (known.get(session.project), STATES.get(session.state)) if word),
            updated=None if session.state in STATES else session.updated,
        )
        for session in sessions.find_page(actor, words=words, limit=MOST, archived=False)
    ]


def _transcripts(actor: Actor, words: str) -> list[Hit]:
    if not words or not accounts.may(actor, "sessions:read"):
        return []
    return [
        Hit(
            url_for("sessions.show", session_id=session.id, at=found.message_id, _anchor=f"part-{found.part_id}"),
            "text-search",
            found.around,
            session.title or "Untitled",
            updated=session.updated,
        )
        for session, found in sessions.find_words(actor, words, MOST)
    ]


def _place(actor: Actor, at: str) -> Place | None:
    """The directory in view: that of the session whose page asks, else the one that Home begins with."""
    if not accounts.may(actor, "files:read") or not accounts.may(actor, "projects:read"):
        return None
    try:
        return projects.resolve(actor, sessions.get(actor, at).directory if at else None)
    except Problem:
        # A session that is gone, or whose directory is: the other groups are still worth an answer.
        return None


def _files(actor: Actor, place: Place | None, words: str, at: str) -> list[Hit]:
    if place is None:
        return []
    return [
        Hit(
            url_for("system.home", project=place.project.id, text=f"{path}: ", _anchor="words")
            if at
            else url_for("files.at", directory=str(place.directory), path=path),
            "file",
            path,
            "into your message" if at else "open",
            path=path,
        )
        for path in files.find_files(actor, place, words, kind="file", limit=MOST)
    ]


def _commands(actor: Actor, place: Place | None, words: str, at: str) -> list[Hit]:
    """The slash commands of the directory in view, each to begin a message with."""
    if place is None or not accounts.may(actor, "sessions:run") or not accounts.may(actor, "settings:read"):
        return []
    found = []
    for one in agent.list_commands(actor, place.directory):
        if _fits(f"/{one.name} {one.description}", words):
            put = f"/{one.name} "
            href = (
                url_for("sessions.show", session_id=at, text=put, _anchor="words")
                if at
                else url_for("system.home", project=place.project.id, text=put, _anchor="words")
            )
            found.append(Hit(href, "scroll-text", f"/{one.name}", one.description, put=put))
    return found[:MOST]


def _actions(words: str) -> list[Hit]:
    hits = [Hit(url_for(endpoint), icon, name, key=key) for name, endpoint, icon, key in PAGES]
    new = Hit(url_for("system.home", _anchor="words"), "plus", "New session", key="C")
    found = [hit for hit in (new, *hits) if _fits(hit.words, words)]
    if words:
        start = url_for("system.home", text=words, _anchor="words")
        found.append(Hit(start, "plus", f"Start a session: “{words}”"))
    return found


def _of_session(actor: Actor, words: str, at: str) -> list[Hit]:
    """The session in view as a file, and its public page, once somebody asks for it by a word."""
    try:
        session = sessions.get(actor, at) if at and words else None
    except Problem:
        return []
    if session is None:
        return []
    hits = [
        Hit(url_for("sessions.export", session_id=at, format=kind), "download", f"Export this session as {name}")
        for kind, name in (("md", "Markdown"), ("json", "JSON"), ("html", "HTML"))
    ]
    if sessions.may_share(actor, session):
        share = "Stop sharing this session…" if session.share_slug else "Share this session…"
        hits.append(Hit(url_for("sessions.share_form", session_id=at), "share-2", share))
    return [hit for hit in hits if _fits(hit.words, words)]


def _fits(text: str, words: str) -> bool:
    lowered = text.lower()
    return all(word in lowered for word in words.lower().split())
