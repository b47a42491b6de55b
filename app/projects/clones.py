"""Cloning by URL, in the background: https only, to a checked address, with its progress on the project's
row.

Correctness rests on the row: whoever clones says so every few seconds, and the sweep gives a silent clone
to another.
"""

from __future__ import annotations

import re
import shutil
import time
from pathlib import Path
from urllib.parse import urlsplit

import sqlalchemy as sa

from app import config, db, dispatch, git, git_clone, ids, outbound
from app.errors import Invalid
from app.projects import rows
from app.projects.models import project as table
from app.projects.rows import Project

BEAT = 3_000
SILENT = 15_000
LONGEST = 1800.0
_LINE = re.compile(
    r"(?P<phase>[A-Z][a-z ]+): +(?P<percent>\d+)% \((?P<done>\d+)/(?P<total>\d+)\)(?:, (?P<bytes>[^|,]+))?"
)


def is_url(text: str) -> bool:
    """Tell whether somebody typed a URL (also git's own forms that we refuse) and not a path."""
    return "://" in text or re.match(r"[\w.-]+@[\w.-]+:|[\w.-]+::", text) is not None


def check(url: str) -> None:
    """Refuse a URL that is not https to the open internet (or opened by OUTBOUND_ALLOW), saying why."""
    scheme = url.partition("://")[0].lower() if "://" in url else "ssh"
    if scheme not in ("https", "http"):
        raise Invalid(
            f"Only https:// can be cloned, not {scheme}: the server has no keys of yours and does not copy "
            "its own files. Clone it yourself and add the directory by its path.",
            "url",
        )
    if re.search(r"[\x00-\x20\x7f]", url) or len(url) > 2000:
        raise Invalid("This is not a URL.", "url")
    if urlsplit(url).query or urlsplit(url).fragment:
        raise Invalid("Give the URL of the repository without ? and #.", "url")
    outbound.check(url, look_up=True)


def name_of(url: str) -> str:
    """Return the directory name for a clone: lower-case letters, digits, dots, dashes, at most 64
    characters.
    """
    last = urlsplit(url).path.rstrip("/").rpartition("/")[2].removesuffix(".git")
    plain = re.sub(r"[^a-z0-9._-]+", "-", last.lower()).strip("-._")
    return plain[:64] or "clone"


def place_for(conn: sa.Connection, name: str) -> Path:
    """Return a directory below the data directory that no project and no file has yet."""
    above = config.current().data_dir.resolve() / "projects"
    above.mkdir(parents=True, exist_ok=True)
    number = 1
    while True:
        root = above / (name if number == 1 else f"{name}-{number}")
        if not root.exists() and not rows.select(conn, table.c.root == str(root)):
            return root
        number += 1


@dispatch.actor("projects.clone")
def clone(project_id: str) -> None:
    """Clone a project that waits for it; does nothing when another process is at it."""
    project = _claim(project_id)
    if project is None:
        return
    shutil.rmtree(project.path, ignore_errors=True)
    watch = _Watch(project)
    try:
        _fetch(project, watch)
        _finish(project, _facts(project.path))
    except git.GitFailed as error:
        shutil.rmtree(project.path, ignore_errors=True)
        _finish(project, {"state": "failed", "progress": {"error": _sentence(error.reason)}})
    except Invalid as error:
        _finish(project, {"state": "failed", "progress": {"error": error.message}})


@dispatch.every(5)
def take_over() -> None:
    """Give clones that nobody is at to a worker: after a restart, or begun by the command line."""
    silent = sa.and_(table.c.state == "cloning", table.c.beat < ids.now() - SILENT)
    with db.read() as conn:
        waiting = [project.id for project in rows.select(conn, silent)]
    for project_id in waiting:
        dispatch.wake("projects.clone", project_id)


class _Watch:
    """What a running clone tells its row, and asks it."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self._told = 0.0
        self._asked = time.monotonic()
        self._wanted = True

    def progress(self, line: str) -> None:
        """Show how far the clone is, at most twice a second."""
        found = _LINE.match(line)
        if found is None or time.monotonic() - self._told < 0.5:
            return
        self._told = time.monotonic()
        words = found.groupdict()
        figures = {name: int(words[name]) for name in ("percent", "done", "total")}
        progress = {"phase": words["phase"], **figures, "bytes": (words["bytes"] or "").strip()}
        with db.transaction() as conn:
            if rows.select(conn, table.c.id == self.project.id, table.c.state == "cloning"):
                rows.update(conn, self.project, progress=progress)

    def is_wanted(self) -> bool:
        """Say that somebody is at it, and find out every second or so whether it was cancelled."""
        if time.monotonic() - self._asked >= 1:
            self._asked = time.monotonic()
            mine = (table.c.id == self.project.id) & (table.c.state == "cloning")
            with db.transaction() as conn:
                changed = conn.execute(table.update().where(mine).values(beat=ids.now()))
            self._wanted = changed.rowcount == 1
        return self._wanted


def _claim(project_id: str) -> Project | None:
    """Take a waiting clone for this process, or None."""
    free = (table.c.id == project_id) & (table.c.state == "cloning") & (table.c.beat < ids.now() - SILENT)
    with db.transaction() as conn:
        if conn.execute(table.update().where(free).values(beat=ids.now())).rowcount != 1:
            return None
        return rows.get(conn, project_id)


def _fetch(project: Project, watch: _Watch) -> None:
    """Run the clone against the addresses that were checked, whatever the DNS says afterwards."""
    parts = urlsplit(project.origin)
    port = parts.port or {"https": 443, "http": 80}[parts.scheme]
    host = parts.hostname or ""
    addresses = outbound.USUAL.gate().addresses(parts.scheme, host, port)
    pinned = ",".join(f"[{address}]" if ":" in address else address for address in addresses)
    settings = (
        f"http.curloptResolve={host}:{port}:{pinned}",
        "http.followRedirects=false",
        "http.proxy=",
        "http.lowSpeedLimit=1",
        "http.lowSpeedTime=60",
    )
    git_clone.clone(
        project.origin,
        project.path,
        protocol=parts.scheme,
        settings=settings,
        progress=watch.progress,
        is_wanted=watch.is_wanted,
        timeout=LONGEST,
    )


def _facts(root: Path) -> dict[str, object]:
    """Return what a finished clone changes on its row."""
    return {"state": "ready", "progress": {}, "vcs": True, "git_root": git.root_commit(root)}


def _finish(project: Project, changes: dict[str, object]) -> None:
    """Write the outcome, unless the clone was cancelled meanwhile: then its files go."""
    with db.transaction() as conn:
        if rows.select(conn, table.c.id == project.id, table.c.state == "cloning"):
            rows.update(conn, project, **changes)
            return
    shutil.rmtree(project.path, ignore_errors=True)


def _sentence(reason: str) -> str:
    """Return git's last word as a sentence, without its prefixes."""
    plain = re.sub(r"^(?:fatal|error|remote): ", "", reason).strip()
    return f"It could not be cloned: {plain[:300]}"
