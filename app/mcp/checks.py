"""What a server to add must be like, before anything is stored of it."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from app import outbound
from app.errors import Invalid
from app.mcp.things import Wanted
from app.projects.service import Place

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,39}")


def check(name: str, wanted: Wanted) -> None:
    """Raise Invalid for a name, a command or a header that is none, NotAllowed for a URL that leads inside."""
    if not _NAME.fullmatch(name):
        raise Invalid("A server's name has 1 to 40 letters, digits, dots, dashes or underscores.", "name")
    if wanted.kind == "remote":
        outbound.check(wanted.target[0])
        if any(not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", key) for key in wanted.secret):
            raise Invalid("This is no name of a header.", "headers")
        if any(re.search(r"[^\t\x20-\x7e]", value) for value in wanted.secret.values()):
            raise Invalid("A header's value is printable ASCII.", "headers")
        return
    if not wanted.target or not wanted.target[0].strip() or any("\0" in word for word in wanted.target):
        raise Invalid("A command is a list of words, the first of them a program.", "command")
    if any("=" in key or not key or "\0" in key + value for key, value in wanted.secret.items()):
        raise Invalid("An environment variable's name has no '=', its value no NUL.", "environment")


def directory(place: Place, given: str) -> str:
    """A directory of the project as it is kept: relative to its root, "" for that itself; raises Invalid."""
    path = PurePosixPath(given)
    if path.is_absolute():
        root = PurePosixPath(place.project.path)
        if not path.is_relative_to(root):
            raise Invalid("It runs in a directory of the project.", "cwd")
        path = path.relative_to(root)
    if ".." in path.parts or "\0" in given:
        raise Invalid("It runs in a directory of the project.", "cwd")
    return "" if str(path) == "." else str(path)
