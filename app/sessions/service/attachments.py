"""Files that go with a prompt: what they hold is read once, when it is sent, and stays in the transcript.

A text becomes what the read tool would have told, a folder what the list tool would have, and a picture a `data:`
address; the part that named them follows. Whatever lies outside the session's directory is refused.
"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode, b64encode
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import parse_qs, unquote, unquote_to_bytes, urlsplit

import orjson

from app import redact
from app.actor import Actor
from app.errors import Invalid, NotFound, Problem, TooLarge
from app.files import service as files
from app.projects import service as projects
from app.projects.service import Place

MOST = 20
LARGEST_TEXT = 10 * 1024 * 1024
LARGEST_DATA = 1024 * 1024
LARGEST_PICTURE = 5 * 1024 * 1024
LISTED = 500
PICTURES = ("image/png", "image/jpeg", "image/gif", "image/webp")
FOLDER = "application/x-directory"
_MENTION = re.compile(r"(?<![\w@./-])@([\w./~-]+)")
_NUMBER = re.compile(r"\d{1,9}")
Given = dict[str, Any]


def expand(actor: Actor, directory: str, parts: list[Given], *, mentions: bool = False) -> list[Given]:
    """The parts of a prompt with what their files hold; `mentions`: `@path` in a text attaches that file too.

    Raises Invalid for what is missing or no text and no picture, Denied for what lies elsewhere, TooLarge.
    """
    expanded: list[Given] = []
    for part in parts:
        expanded += _attached(actor, directory, part) if part["type"] == "file" else [part]
    if mentions:
        expanded += _mentioned(actor, directory, parts)
    if sum(part["type"] == "file" for part in expanded) > MOST:
        raise Invalid(f"At most {MOST} files go with a prompt.", "parts")
    return expanded


def _mentioned(actor: Actor, directory: str, parts: list[Given]) -> Iterator[Given]:
    """The files that a text names; a word that is none, or whose file cannot be attached, is only a word."""
    named: set[str] = set()
    for text in [part["text"] for part in parts if part["type"] == "text"]:
        for found in _MENTION.finditer(text):
            name = found[1].rstrip(".-")
            if name in named or len(named) >= MOST:
                continue
            named.add(name)
            where = {"value": f"@{name}", "start": found.start(), "end": found.start() + len(name) + 1}
            url = (Path(directory) / name).as_uri() if not name.startswith("~") else ""
            source = {"type": "file", "path": name, "text": where}
            part = {"type": "file", "mime": "text/plain", "filename": name, "url": url, "source": source}
            try:
                yield from _attached(actor, directory, part)
            except Problem:
                continue


def _attached(actor: Actor, directory: str, part: Given) -> list[Given]:
    scheme = part["url"].partition(":")[0].lower()
    if scheme == "file":
        return _file(actor, projects.resolve(actor, directory), part)
    if scheme == "data":
        return _data(part)
    if scheme == "https" and part["mime"].startswith("image/"):
        return [part]
    raise Invalid("A file's url begins with file: or data:, or with https: for a picture.", "parts")


def _file(actor: Actor, place: Place, part: Given) -> list[Given]:
    """A file or folder of the project."""
    url = urlsplit(part["url"])
    if url.netloc not in ("", "localhost"):
        raise Invalid("A file of another machine cannot be attached.", "parts")
    path = unquote(url.path)
    try:
        inside = files.Root(place.directory).relative(path)
        if files.is_directory(actor, place, path):
            return _folder(actor, place, path, part)
        content = files.read(actor, place, path, LARGEST_TEXT, compare=False)
    except NotFound:
        raise Invalid(f"There is no file {path[-200:]}.", "parts") from None
    name = part.get("filename") or PurePosixPath(path).name
    stamps = {inside: content.stamp}
    if content.mime in PICTURES:
        if len(content.data) > LARGEST_PICTURE:
            raise _too_large(name)
        picture = f"data:{content.mime};base64,{b64encode(content.data).decode()}"
        return [_called("Read", filePath=path), {**part, "mime": content.mime, "filename": name, "url": picture}]
    if content.is_binary:
        raise Invalid(f"{name[-200:]} is binary ({content.mime}): only texts, folders and pictures go along.", "parts")
    first, most = _range(url.query)
    wanted = {"offset": first, "limit": most} if url.query and (first > 1 or most < files.LINES) else {}
    told = files.excerpt(redact.text(content.text), first, most).text
    kept = {**part, "mime": "text/plain", "filename": name, "stamps": stamps}
    return [_called("Read", filePath=path, **wanted), _told(told), kept]


def _folder(actor: Actor, place: Place, path: str, part: Given) -> list[Given]:
    found = files.list_directory(actor, place, path)
    lines = [f"{node.name}/" if node.is_dir else node.name for node in found[:LISTED]]
    more = [f"({len(found) - LISTED} more)"] if len(found) > LISTED else []
    told = "\n".join([f"{path.rstrip('/') or '/'}/", *(f"  {line}" for line in lines + more)])
    name = part.get("filename") or PurePosixPath(path).name
    return [_called("List", path=path), _told(told), {**part, "mime": FOLDER, "filename": name}]


def _data(part: Given) -> list[Given]:
    """A picture or a text that came with the prompt."""
    head, comma, body = part["url"].partition(",")
    mime = head.removeprefix(head[:5]).partition(";")[0].strip().lower() or "text/plain"
    name = part.get("filename") or "the attached file"
    if not comma:
        raise Invalid(f"The address of {name[-200:]} is no data: address.", "parts")
    if len(body) > 3 * LARGEST_PICTURE:
        raise _too_large(name)
    try:
        data = b64decode(body, validate=True) if head.lower().endswith(";base64") else unquote_to_bytes(body)
    except binascii.Error:
        raise Invalid(f"{name[-200:]} is not valid base64.", "parts") from None
    if mime in PICTURES:
        if len(data) > LARGEST_PICTURE:
            raise _too_large(name)
        return [{**part, "mime": mime, "url": f"data:{mime};base64,{b64encode(data).decode()}"}]
    text = files.text_of(data) if len(data) <= LARGEST_DATA else None
    if text is None:
        raise Invalid(f"{name[-200:]} is binary or large ({mime}): only texts of 1 MiB and pictures go along.", "parts")
    told = files.excerpt(redact.text(text)).text
    return [_called("Read", filePath=name), _told(told), {**part, "mime": "text/plain"}]


def _range(query: str) -> tuple[int, int]:
    """The first line and how many, as `start` and `end` name them, from 1 and both included."""
    asked = {name: values[0] for name, values in parse_qs(query).items()}
    start, end = (int(asked[name]) if _NUMBER.fullmatch(asked.get(name, "")) else 0 for name in ("start", "end"))
    first = max(1, start)
    return first, max(1, end - first + 1) if end else files.LINES


def _called(tool: str, **given: Any) -> Given:
    return _told(f"Called the {tool} tool with the following input: {orjson.dumps(given).decode()}")


def _told(text: str) -> Given:
    return {"type": "text", "text": text, "synthetic": True}


def _too_large(name: str) -> TooLarge:
    return TooLarge(f"{name[-200:]} is a picture of more than {LARGEST_PICTURE // 1024 // 1024} MiB.")
