"""Changing: saving what was edited, new files and folders, another name, taking away, uploads; and handing out."""

from __future__ import annotations

import mimetypes
import re
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from typing import Any

from flask import Response, render_template, request

from app import downloads, ids, uploads, web
from app.accounts import service as accounts
from app.actor import Actor
from app.errors import Conflict, Invalid, NotFound, Problem
from app.files import bp, service
from app.files.pages import differences, places, show
from app.files.pages.folder import PICTURES
from app.files.pages.places import Opened
from app.files.service import Sight

PEEK = 8_000
LINE = re.compile(r"([^\r\n]*)(\r\n|\r|\n|$)")
TEXT = "text/plain; charset=utf-8"


@dataclass(frozen=True)
class Clash:
    """What lies on disk by now against what somebody wants to save: a patch from theirs to mine, and a sentence."""

    patch: str
    words: str
    is_gone: bool = False


@bp.post("/browse/save/<key>/<path:name>")
def save(key: str, name: str) -> Response:
    """Put the text of the editor at the name, unless something else lies there than what was taken up."""
    actor = web.actor()
    opened = places.find(actor, key)
    accounts.require(actor, "files:write", opened.project)
    path, text = opened.path(name), _text()
    now = _find(actor, opened, path)
    if web.form("look"):
        return _editor(actor, opened, path, text, web.form("stamp"), preview=_patch(now, text))
    if now is not None and not show.is_editable(now):
        raise Conflict(f"{path} is no text any more that can be edited here.")
    data = spelled(text, now.text if now else "").encode()
    try:
        service.write(actor, opened.place, path, data, expected=web.form("stamp"))
    except Conflict:
        return _clash(actor, opened, path, text)
    service.forget(actor, opened.place)
    if not web.is_htmx():
        return web.back(opened.url(path))
    return _bare(render_template("files/_save_state.html", stamp=service.stamp_of(data), saved=ids.now()))


@bp.post("/browse/new/<key>/", defaults={"name": ""})
@bp.post("/browse/new/<key>/<path:name>")
def add(key: str, name: str) -> Response:
    """Make a file or a folder in a folder."""
    actor = web.actor()
    opened = places.find(actor, key)
    accounts.require(actor, "files:write", opened.project)
    folder, called = opened.path(name), web.form("called").strip("/")
    if not called:
        raise Invalid("Name what is to be made.", "called")
    path = opened.path("/".join(filter(None, (folder, called))))
    is_file = web.form("kind") != "folder"
    try:
        if is_file:
            service.write(actor, opened.place, path, b"", expected="")
        else:
            service.make_directory(actor, opened.place, path, exist_ok=False)
    except (Conflict, Invalid) as problem:
        return _again(actor, opened, folder, "view", problem, is_dir=True)
    service.forget(actor, opened.place)
    return web.back(opened.url(path, view="edit" if is_file else None))


@bp.post("/browse/move/<key>/<path:name>")
def move(key: str, name: str) -> Response:
    """Give a file or folder another name; nothing that exists is replaced."""
    actor = web.actor()
    opened = places.find(actor, key)
    accounts.require(actor, "files:write", opened.project)
    path = opened.path(name)
    is_dir = service.is_directory(actor, opened.place, path)
    typed = web.form("to")
    try:
        to = opened.path(typed)
        if not to:
            raise Invalid("Name where it goes.", "to")
        _refuse_existing(actor, opened, to)
        if to.startswith(f"{path}/"):
            raise Invalid("A folder can't go into itself.", "to")
        service.move(actor, opened.place, path, to, parents=True)
    except (Conflict, Invalid) as problem:
        return _again(actor, opened, path, "move", problem, is_dir=is_dir, to=typed)
    service.forget(actor, opened.place)
    return web.back(opened.url(to))


@bp.post("/browse/remove/<key>/<path:name>")
def remove(key: str, name: str) -> Response:
    """Take a file or folder away; what would be lost with it asks for its name to be typed."""
    actor = web.actor()
    opened = places.find(actor, key)
    accounts.require(actor, "files:write", opened.project)
    path = opened.path(name)
    loss = service.loss_of(actor, opened.place, path)
    typed = path.rpartition("/")[2]
    if loss.only_here and web.form("typed") != typed:
        problem = Invalid(f"To remove it all the same, type {typed}.", "typed")
        return _again(actor, opened, path, "remove", problem, is_dir=loss.is_dir, loss=loss)
    service.remove(actor, opened.place, path)
    service.forget(actor, opened.place)
    return web.back(opened.url(path.rpartition("/")[0]))


@bp.post("/browse/upload/<key>/", defaults={"name": ""})
@bp.post("/browse/upload/<key>/<path:name>")
def receive(key: str, name: str) -> Response:
    """Take the files of a form into a folder; or the body as one file, as it comes, at the name."""
    actor = web.actor()
    opened = places.find(actor, key)
    accounts.require(actor, "files:write", opened.project)
    path = opened.path(name)
    if not uploads.is_form():
        if not request.args.get("replace"):
            _refuse_existing(actor, opened, path)
        body = uploads.body()
        made = service.receive(actor, opened.place, path, body, body.length)
        service.forget(actor, opened.place)
        return web.json({"path": path, "size": made.size}, 201)
    problem = _take_all(actor, opened, path)
    service.forget(actor, opened.place)
    return _again(actor, opened, path, "view", problem, is_dir=True) if problem else web.back(opened.url(path))


@bp.get("/browse/raw/<key>/<path:name>")
def raw(key: str, name: str) -> Response:
    """A file's bytes: a picture or plain text to look at, anything else to keep; never something that can act."""
    actor = web.actor()
    opened = places.find(actor, key)
    found = service.open_for_download(actor, opened.place, opened.path(name))
    kind = mimetypes.guess_type(found.name, strict=False)[0] or ""
    picture = kind if kind in PICTURES else ""
    is_text = not picture and _is_text(found)
    kept = bool(request.args.get("download")) or not (picture or is_text)
    response = downloads.answer(replace(found, kind=picture or (TEXT if is_text else found.kind)))
    if not kept:
        response.headers["Content-Disposition"] = "inline"
    return response


@bp.get("/browse/zip/<key>/", defaults={"name": ""})
@bp.get("/browse/zip/<key>/<path:name>")
def pack(key: str, name: str) -> Response:
    """A folder and all in it, packed while it is sent."""
    actor = web.actor()
    opened = places.find(actor, key)
    found = service.zip_of(actor, opened.place, opened.path(name))
    return downloads.zipped(found.name, found.chunks)


def spelled(text: str, before: str) -> str:
    """The text with the line ends of what was there before, and its mark of byte order; forms send their own ends."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    mark = "\ufeff" if before.startswith("\ufeff") and not text.startswith("\ufeff") else ""
    ends = service.ends_of(before)
    if ends == "mixed":
        return mark + _mixed(text, before.removeprefix("\ufeff"))
    return mark + (text.replace("\n", "\r\n") if ends == "crlf" else text)


def _mixed(text: str, before: str) -> str:
    """Lines that stay keep their own ends; new ones end as most do."""
    old = [match.groups() for match in LINE.finditer(before) if match[0]]
    lines = text.split("\n")
    ends = [end for _line, end in old if end]
    usual = max(("\n", "\r\n", "\r"), key=ends.count)
    found = [usual] * len(lines)
    matcher = SequenceMatcher(None, [line for line, _end in old], lines, autojunk=False)
    for at_old, at_new, size in matcher.get_matching_blocks():
        for step in range(size):
            found[at_new + step] = old[at_old + step][1] or usual
    return "".join(line + end for line, end in zip(lines[:-1], found, strict=False)) + lines[-1]


def _text() -> str:
    if "text" not in request.form:
        raise Invalid("The text is missing.", "text")
    text: str = request.form["text"]
    if "\0" in text:
        raise Invalid("A text can't hold a NUL character.", "text")
    return text


def _find(actor: Actor, opened: Opened, path: str) -> Sight | None:
    try:
        return service.look(actor, opened.place, path)
    except NotFound:
        return None


def _patch(now: Sight | None, text: str) -> str:
    """The patch that leads from what lies on disk to the text."""
    old = (now.text if now else "").removeprefix("\ufeff").replace("\r\n", "\n")
    return differences.patch_of(service.compare(old, text.replace("\r\n", "\n")))


def _clash(actor: Actor, opened: Opened, path: str, text: str) -> Response:
    """The editor with the text that was not saved, and how it differs from what lies on disk by now."""
    now = _find(actor, opened, path)
    if now is None:
        clash = Clash("", f"{path} was removed while you edited it.", is_gone=True)
        return _editor(actor, opened, path, text, "", 409, clash=clash)
    if not show.is_editable(now):
        raise Conflict(f"{path} became something that can't be edited here, while you edited it.")
    clash = Clash(_patch(now, text), f"{path.rpartition('/')[2]} was changed on disk while you edited it.")
    return _editor(actor, opened, path, text, now.stamp, 409, clash=clash)


def _editor(actor: Actor, opened: Opened, path: str, text: str, stamp: str, status: int = 200, **more: Any) -> Response:
    standing = service.standing(actor, opened.place)
    text = text.replace("\r\n", "\n")
    tree = show.tree_to(actor, opened, standing, path)
    context = {
        **show.around(actor, opened, path, standing),
        "tree": tree,
        "ignored": show.dimmed(actor, opened, tree),
        "part": "edit",
        "view": "edit",
        "is_dir": False,
        "editable": True,
        "text": text,
        "stamp": stamp,
        **more,
    }
    return web.page("files/_main.html" if web.is_htmx() else "files/index.html", status, **context)


def _again(
    actor: Actor, opened: Opened, path: str, view: str, problem: Problem, *, is_dir: bool, **more: Any
) -> Response:
    """The page that the form was on, with what was wrong."""
    standing = service.standing(actor, opened.place)
    more |= {"problem": problem.message, "status": problem.status}
    return show.shown(actor, opened, path, standing, view, is_dir=is_dir, **more)


def _refuse_existing(actor: Actor, opened: Opened, path: str) -> None:
    try:
        service.stat(actor, opened.place, path)
    except NotFound:
        return
    raise Conflict(f"{path or opened.project.name} exists already.")


def _take_all(actor: Actor, opened: Opened, folder: str) -> Problem | None:
    """Take each file of the form; what was wrong with the first that could not be taken."""
    first: Problem | None = None
    for file in request.files.getlist("files"):
        try:
            path = opened.path("/".join(filter(None, (folder, file.filename or ""))))
            if not file.filename:
                raise Invalid("Choose at least one file.", "files")
            if not request.form.get("replace"):
                _refuse_existing(actor, opened, path)
            service.receive(actor, opened.place, path, file.stream, None)
        except Problem as problem:
            first = first or problem
    return first


def _is_text(found: service.Download) -> bool:
    """Whether a file begins as text does; it is read from its start again afterwards."""
    data = found.file.read(PEEK)
    found.file.seek(0)
    cut = data.rfind(b"\n") + 1 or len(data)
    return service.text_of(data[:cut] if len(data) == PEEK else data) is not None


def _bare(text: str) -> Response:
    response = Response(text)
    response.content_type = "text/html; charset=utf-8"
    return response
