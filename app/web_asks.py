"""What asks are called on pages, and the call that asks as text; `macros.html` gives them to the templates as its own.

Lists say them several times for each of hundreds of asks. They take approvals' Ask, or what has its tool and kind.
"""

from __future__ import annotations

from typing import Any

from flask import Flask

from app.web_filters import pretty

ICONS = {
    "question": "circle-help",
    "bash": "terminal",
    "edit": "pencil",
    "webfetch": "globe",
    "read": "file-text",
    "task": "git-fork",
    "mode": "sliders-horizontal",
    "network": "globe",
    "loop": "history",
    "limit": "circle-pause",
    "other": "wrench",
}
ACTS = {
    "question": "Answer",
    "bash": "Run command",
    "edit": "Save edit",
    "webfetch": "Fetch page",
    "read": "Allow read",
    "task": "Start subagent",
    "mode": "Switch mode",
    "network": "Allow host",
    "loop": "Go on",
    "limit": "Go on",
    "other": "Call tool",
}
NAMES = {
    "question": "Question",
    "bash": "Run",
    "edit": "Edit",
    "webfetch": "Fetch",
    "read": "Read",
    "task": "Subagent",
    "mode": "Mode",
    "network": "Reach",
    "loop": "Loop",
    "limit": "Limit",
    "other": "Tool",
}
DONE = {
    "bash": "ran",
    "edit": "saved",
    "webfetch": "fetched",
    "read": "allowed",
    "network": "allowed",
    "task": "started",
    "mode": "agreed to",
    "loop": "let go on with",
    "limit": "let go on with",
}
ROOM = 96  # characters of a call that can be read on one row
_OF_COMMANDS = ("command", "description", "timeout")
_OF_PAGES = ("url", "format", "timeout")
_KINDS = {
    **dict.fromkeys(("bash", "shell"), "bash"),
    **dict.fromkeys(("edit", "write", "multiedit", "patch", "apply_patch"), "edit"),
    **dict.fromkeys(("webfetch", "websearch"), "webfetch"),
    **dict.fromkeys(("read", "list", "glob", "grep", "external_directory"), "read"),
    **dict.fromkeys(("task", "new_task"), "task"),
    "switch_mode": "mode",
    "network": "network",
    "doom_loop": "loop",
    "auto_approval_max_req_reached": "limit",
}


def kind(ask: Any) -> str:
    """The kind of its tool: bash, edit, webfetch, read, task, mode, network, loop, limit, other; or question."""
    return "question" if ask.kind == "question" else _KINDS.get(ask.tool, "other")


def icon(ask: Any) -> str:
    """The name of its icon."""
    return ICONS[kind(ask)]


def name(ask: Any) -> str:
    """What it is called in a list."""
    return NAMES[kind(ask)]


def act(ask: Any) -> str:
    """What the button says that lets it run."""
    return ACTS[kind(ask)]


def first_word(ask: Any) -> str:
    """The same where there is little room."""
    what = kind(ask)
    return ACTS[what] if what in ("loop", "limit") else ACTS[what].split(" ")[0]


def always(ask: Any) -> str:
    """What the button says that adds its rules as well."""
    word = first_word(ask)
    return "Always allow" if word == "Allow" else f"{word}, always allow"


def said(ask: Any) -> str:
    """What was said to it, after the name of who did: "rejected", "ran"."""
    if ask.state == "withdrawn":
        return f"was asked, then the {'command' if ask.tool == 'network' else 'run'} ended"
    if ask.reply == "reject":
        return "skipped" if ask.kind == "question" else "rejected"
    return "answered" if ask.kind == "question" else DONE.get(kind(ask), "called")


def subject(ask: Any) -> str:
    """What an answered ask was about: a path, a host, or the call's one line."""
    if ask.tool == "network":
        return call_text(ask)
    url = ask.input.get("url") if ask.tool == "webfetch" else ""
    return str(ask.metadata.get("filepath") or url or ask.title)


def why(ask: Any) -> str:
    """Why it was asked, each reason once."""
    reasons: dict[str, str] = {}
    for part in ask.parts:
        if part["action"] == "ask":
            reasons.setdefault(part["why"].lower(), part["why"])
    return " · ".join(reasons.values()) or ask.why


def rule_text(rule: dict[str, str]) -> str:
    """A literal rule as text."""
    return f"{rule['action']} {rule['tool']} {rule['pattern']}"


def call_text(ask: Any) -> str:
    """The exact call, complete: the command line, the address, the path; whatever else the input holds follows."""
    what, given = kind(ask), ask.input
    if what == "bash":
        return f"{given.get('command', '')}{_rest(given, _OF_COMMANDS)}"
    if what == "webfetch" and given.get("url"):
        return f"{given['url']}{_rest(given, _OF_PAGES)}"
    if what == "edit" and (ask.metadata.get("diff") or ask.metadata.get("files")):
        return str(ask.metadata.get("filepath") or ask.title)
    if what == "read" and len(given) == 1:
        return str(next(iter(given.values())))
    if what == "network":
        return str(next(iter(ask.patterns), ""))
    if what in ("loop", "limit"):
        return _repeated(given)
    return f"{ask.tool} {pretty(given)}"


def _repeated(given: dict[str, Any]) -> str:
    """The call that is made once more."""
    call = given.get("input", {})
    bare = given.get("tool") == "bash" and len(call) == 1
    return f"{given.get('tool', '')} {call.get('command', '') if bare else pretty(call)}"


def _rest(given: dict[str, Any], known: tuple[str, ...]) -> str:
    """Each further field of an input."""
    more = ((key, value) for key, value in given.items() if key not in known)
    return "".join(f"\n{key}: {value if isinstance(value, str) else pretty(value, False)}" for key, value in more)


def legible(ask: Any, room: int = ROOM) -> bool:
    """Whether the whole call can be read on one row, as `things.is_legible` has it; only then the row answers."""
    what, given = kind(ask), ask.input
    if what == "bash":
        return _is_short(given.get("command"), room) and given.keys() <= {*_OF_COMMANDS}
    if what == "webfetch":
        return _is_short(given.get("url"), room) and given.keys() <= {*_OF_PAGES}
    if what == "network":
        return bool(ask.patterns) and len(ask.patterns[0]) <= room
    return what == "read" and len(given) == 1 and _is_short(next(iter(given.values())), room, least=0)


def _is_short(text: Any, room: int, least: int = 1) -> bool:
    return isinstance(text, str) and least <= len(text) <= room and text.isprintable()


def register(app: Flask) -> None:
    """Give the application's templates these words."""
    found = (kind, call_text, legible, subject, rule_text, said, why, icon, act, first_word, always, name)
    app.jinja_env.globals["ask_words"] = {one.__name__: one for one in found}
