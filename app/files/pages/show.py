"""Looking: a folder as a list, a file as text, picture or facts, and what differs from the last commit."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from flask import Response, request

from app import live, slots, web
from app.accounts import service as accounts
from app.actor import Actor
from app.errors import NotFound
from app.files import bp, events, service
from app.files.pages import code, differences, folder, places
from app.files.pages.places import Opened
from app.files.service import Sight, Standing

VIEWS = ("view", "source", "changes", "edit", "move", "remove")
EDITABLE = 1024 * 1024
PROSE = 200_000


@bp.get("/browse")
def index() -> Response:
    """Go on to the project that was picked, or to the one that a request means which names none."""
    actor = web.actor()
    accounts.require(actor, "files:read")
    wanted = request.args.get("to", "")
    opened = places.find(actor, wanted) if wanted else places.first(actor)
    return web.back(opened.url()) if opened else web.page("files/none.html")


@bp.get("/browse/at")
def at() -> Response:
    """Go on to the page of a file that is known by a directory and its name there, as tool calls tell them."""
    opened, path = places.at(web.actor(), request.args.get("directory", ""), request.args.get("path", ""))
    line = request.args.get("line", "")
    url = opened.url(path, at=line if line.isdecimal() else None)
    return web.back(f"{url}#L{line}" if line.isdecimal() else url)


@bp.get("/browse/<key>")
@bp.get("/browse/<key>/<path:name>")
def show(key: str, name: str = "") -> Response:
    """A folder or a file."""
    actor = web.actor()
    opened = places.find(actor, key)
    path = opened.path(name)
    standing = service.standing(actor, opened.place)
    view = request.args.get("view", "view")
    view = view if view in VIEWS else "view"
    try:
        is_dir = service.is_directory(actor, opened.place, path)
    except NotFound:
        if standing.letter(path) != "D":
            raise
        return shown(actor, opened, path, standing, "changes", is_dir=False, is_gone=True)
    return shown(actor, opened, path, standing, view, is_dir=is_dir)


@slots.draws(events.FileChanged, events.FileSeen)
def draw_news(_actor: Actor, fact: Any) -> list[str]:
    """A page that shows the file, or its folder, is told that it changed."""
    return live.file_news(fact.event.file)


def shown(
    actor: Actor,
    opened: Opened,
    path: str,
    standing: Standing,
    view: str,
    *,
    is_dir: bool,
    is_gone: bool = False,
    **more: Any,
) -> Response:
    """The page of a folder or file in one of its views, or the fragment that HTMX asks for."""
    if view in ("edit", "move", "remove"):
        accounts.require(actor, "files:write", opened.project)
    if view == "changes":
        found = differences.of(actor, opened, path)
        if web.is_htmx() and request.args.get("only"):
            return web.page("files/_difference.html", file=found["files"][0] if found["files"] else None, open=True)
        if not is_dir and not is_gone:
            found |= _facts(service.look(actor, opened.place, path))
    elif is_dir:
        found = {"part": view if view in ("move", "remove") else "folder"}
    else:
        found = _file(actor, opened, path, standing, view)
        if web.is_htmx() and request.args.get("part"):
            return _further(found["sight"], opened, path, found["listing"])
    status = more.pop("status", 200)
    context = {"view": view, "is_dir": is_dir, **around(actor, opened, path, standing), **found, **more}
    if view == "remove" and "loss" not in context:
        context["loss"] = service.loss_of(actor, opened.place, path)
    if is_dir:
        return _folder_page(actor, opened, path, standing, context, status)
    context["tree"] = tree_to(actor, opened, standing, path)
    context["ignored"] = dimmed(actor, opened, context["tree"])
    return web.page("files/index.html", status, **context)


def dimmed(actor: Actor, opened: Opened, *shown: Iterable[folder.Branch | folder.Row]) -> set[str]:
    """Which of the names that are shown git ignores."""
    return service.find_ignored(actor, opened.place, (one.path for few in shown for one in few if one.path))


def _folder_page(
    actor: Actor, opened: Opened, path: str, standing: Standing, context: dict[str, Any], status: int
) -> Response:
    levels = service.unfold(actor, opened.place, path)
    context["tree"] = folder.tree(opened, levels, standing, path)
    if context["part"] != "folder":
        context["ignored"] = dimmed(actor, opened, context["tree"])
        return web.page("files/index.html", status, **context)
    context |= _folder(opened, levels[path], standing, path)
    context["ignored"] = dimmed(actor, opened, context["tree"], context["rows"])
    template = "files/index.html"
    if web.is_htmx():
        template = "files/_rows.html" if request.args.get("rows") else "files/_listing.html"
    return web.page(template, status, **context)


def around(actor: Actor, opened: Opened, path: str, standing: Standing) -> dict[str, Any]:
    """What every page of files shows around its part."""
    above, _, name = path.rpartition("/")
    return {
        "opened": opened,
        "path": path,
        "above": above,
        "name": name or opened.project.name,
        "standing": standing,
        "letter": standing.letter(path) or standing.letter(f"{path}/"),
        "crumbs": folder.crumbs(opened, path),
        "picks": places.picks(actor, opened),
        "may_write": accounts.may(actor, "files:write", opened.project),
        "words": folder.WORDS,
        "watch": {"files": str(opened.place.directory), "shown": path},
        **slots.gather("browse", actor, opened.place, path),
    }


def _folder(opened: Opened, nodes: list[service.Node], standing: Standing, path: str) -> dict[str, Any]:
    sort = request.args.get("sort", "name")
    sort = sort if sort.removesuffix("-back") in folder.SORTS else "name"
    rows = folder.rows(nodes, standing, path, sort)
    first = request.args.get("rows", "")
    begin = int(first) if first.isdecimal() and len(first) < 7 else 0
    end = begin + folder.PAGE
    following = opened.url(path, sort=sort if sort != "name" else None, rows=end) if len(rows) > end else ""
    return {
        "rows": rows[begin:end],
        "begin": begin,
        "total": len(rows),
        "following": following,
        "sort": sort,
        "sorts": folder.sorts(opened, path, sort),
    }


def _file(actor: Actor, opened: Opened, path: str, standing: Standing, view: str) -> dict[str, Any]:
    """What a view of a file needs; the part says which template draws it."""
    sight = service.look(actor, opened.place, path)
    facts = _facts(sight)
    if view in ("edit", "move", "remove"):
        return {**facts, "part": view, "text": sight.text, "stamp": sight.stamp}
    if facts["kind"] != "code" and (view != "source" or sight.is_binary):
        return {**facts, "part": facts["kind"]}
    hunks = service.hunks_of(actor, opened.place, sight) if standing.letter(path) in ("M", "A") else []
    wanted = request.args.get("at", "")
    line = int(wanted) if wanted.isdecimal() and len(wanted) < 9 else 1
    return {**facts, "part": "code", "listing": code.part_of(sight, hunks, line), "line": line}


def _facts(sight: Sight) -> dict[str, Any]:
    return {"sight": sight, "editable": is_editable(sight), "kind": kind_of(sight)}


def _further(sight: Sight, opened: Opened, path: str, lines: code.Part) -> Response:
    """More lines of a file that is open, unless it is another by now."""
    is_other = request.args.get("part") != (sight.stamp or str(sight.mtime))
    way = request.args.get("way", "down")
    return web.page(
        "files/_lines.html", sight=sight, opened=opened, path=path, listing=lines, is_other=is_other, way=way
    )


def kind_of(sight: Sight) -> str:
    """How a file is shown: code, prose, picture or binary."""
    if sight.mime in folder.PICTURES and (sight.is_binary or sight.mime == "image/svg+xml"):
        return "picture"
    if sight.is_binary:
        return "binary"
    is_prose = sight.path.lower().endswith((".md", ".markdown")) and not sight.is_cut and len(sight.text) <= PROSE
    return "prose" if is_prose else "code"


def is_editable(sight: Sight) -> bool:
    """Whether the file can be edited on a page: a whole text that is not too long."""
    return not sight.is_binary and not sight.is_cut and sight.size <= EDITABLE


def tree_to(actor: Actor, opened: Opened, standing: Standing, path: str = "") -> list[folder.Branch]:
    """The tree with the folders unfolded that lead to a file; with nothing unfolded where they are gone."""
    above = path.rpartition("/")[0]
    try:
        levels = service.unfold(actor, opened.place, above)
    except NotFound:
        levels = service.unfold(actor, opened.place)
    return folder.tree(opened, levels, standing, path)
