"""What a frame of OpenCode's stream says, apart from when and in how many pieces it is said."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

# Frames of other things, for which nobody who follows a session waits.
LEFT_OUT = {"tui.command.execute", "server.instance.disposed", "project.updated"}
# Frames that stand in the order of the session; those of a message or part do when they are its first.
PLACED = {"session.created", "session.deleted", "session.status", "session.idle", "session.error"}
ENDED = {"completed", "error"}


@dataclass(frozen=True)
class Token:
    """A frame: what it says, of which ids (its own last), in whose order it stands, and what it must say besides."""

    said: tuple[str, ...]
    ids: tuple[str, ...]
    frame: dict[str, Any]
    lane: str
    is_placed: bool = False
    values: dict[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> tuple[Any, ...]:
        """Frames with the same key count once: how often a thing is said depends on the machine."""
        return (*self.said, *self.ids, *sorted(self.values.items()))

    @property
    def name(self) -> str:
        """What it is called in a list of differences."""
        return " ".join([*self.said, *(str(value) for value in self.values.values())])


def token(frame: dict[str, Any]) -> Token | None:
    """The token of a frame; None for one that has no say here."""
    kind, properties = frame["type"], frame["properties"]
    if kind in LEFT_OUT:
        return None
    if kind == "message.updated":
        return _message(frame, properties["info"])
    if kind in ("message.part.updated", "message.part.delta"):
        return _part(frame, properties)
    info = properties.get("info", {})
    own = next(
        (properties[name] for name in ("permissionID", "requestID", "id", "messageID") if name in properties), ""
    )
    ids = tuple(one for one in (properties.get("sessionID") or info.get("id"), own) if one)
    said = (kind, properties["status"]["type"]) if kind == "session.status" else (kind,)
    values = {name: properties[name] for name in ("reply", "response", "event") if name in properties}
    if "error" in properties:
        values["error"] = properties["error"]["name"]
    return Token(said, ids, frame, "/".join((kind, *ids)), kind in PLACED, values)


def piece(frame: dict[str, Any], part_id: str) -> str:
    """What a frame adds to a part."""
    properties = frame["properties"]
    of = properties.get("partID") or properties.get("part", {}).get("id")
    return str(properties.get("delta", "")) if of == part_id else ""


def _message(frame: dict[str, Any], info: dict[str, Any]) -> Token:
    values = {name: info[name] for name in ("finish",) if name in info}
    if "error" in info:
        values["error"] = info["error"]["name"]
    said = ("message.updated", info["role"], *(("completed",) if "completed" in info["time"] else ()))
    return Token(said, (info["sessionID"], info["id"]), frame, info["id"], values=values)


def _part(frame: dict[str, Any], properties: dict[str, Any]) -> Token:
    if "delta" in properties:
        part = properties.get("part", {"id": properties.get("partID"), **properties})
        ids = (part["sessionID"], part["messageID"], part["id"])
        return Token(("a part grows",), ids, frame, part["id"])
    part = properties["part"]
    ids = (part["sessionID"], part["messageID"], part["id"])
    said = ("message.part.updated", part["type"])
    if part["type"] == "tool":
        status = part["state"]["status"]
        return Token((*said, status), ids, frame, part["id"], status in ENDED, {"tool": part["tool"]})
    return Token((*said, *(("ended",) if "end" in part.get("time", {}) else ())), ids, frame, part["id"])
