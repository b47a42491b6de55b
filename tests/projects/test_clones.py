"""Cloning by URL: what is refused, what the row tells meanwhile, and how it ends."""

from __future__ import annotations

import dataclasses
import shutil
import threading
from pathlib import Path

import pytest

from app import config, db, git, ids
from app.actor import Actor
from app.errors import Conflict, Invalid, NotFound
from app.projects import clones
from app.projects import service as projects
from app.projects.models import project as table
from tests.projects.conftest import Served


@pytest.fixture
def opened(alice: Actor, served: Served) -> Served:
    """The server, on the allow-list."""
    config.use(dataclasses.replace(config.current(), outbound_allow=(f"127.0.0.1:{served.port}",)))
    return served


@pytest.fixture
def transport() -> None:
    """Git's http, which the wheel lacks; a test that needs it fails with the line that installs it, never skips."""
    if shutil.which("git-remote-http", path=git.text(["--exec-path"])) is None:
        pytest.fail("this git speaks no http; install one that does: apt-get install git", pytrace=False)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("file:///etc", "not file"),
        ("ssh://git@example.com/x.git", "not ssh"),
        ("git@example.com:group/x.git", "not ssh"),
        ("git://example.com/x.git", "not git"),
        ("ext::sh -c touch% /x", "not ssh"),
        ("https://user:secret@example.com/x.git", "user name or password"),
        ("https://127.0.0.1/x.git", "open internet"),
        ("https://[::1]/x.git", "open internet"),
        ("https://169.254.169.254/x.git", "open internet"),
        ("http://127.0.0.1:8000/x.git", "only https"),
        ("https://", "host"),
        ("https://example.com/x.git?y", r"\?"),
        ("https://exa mple.com/x", "not a URL"),
    ],
)
def test_it_refuses_other_urls_with_a_reason(alice: Actor, url: str, why: str) -> None:
    with pytest.raises(Invalid, match=why):
        projects.add(alice, url)
    assert projects.list_all(alice) == []


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://e.com/g/Ledger.git", "ledger"),
        ("https://e.com/g/a b%20c/", "a-b-20c"),
        ("https://e.com/..", "clone"),
        ("https://e.com/.git", "clone"),
        (f"https://e.com/{'x' * 99}", "x" * 64),
    ],
    ids=["plain", "odd", "dots", "empty", "long"],
)
def test_a_clone_has_a_harmless_name(url: str, name: str) -> None:
    assert clones.name_of(url) == name


@pytest.mark.usefixtures("transport")
def test_it_clones_in_the_background(alice: Actor, opened: Served, repository: Path) -> None:
    project = projects.add(alice, opened.url)
    assert project.state == "cloning"
    assert projects.add(alice, opened.url).id == project.id
    clones.clone(project.id)
    done = projects.get(alice, project.id)
    assert (done.state, done.vcs, done.git_root) == ("ready", True, git.root_commit(repository))
    assert (done.path / "a.txt").read_text() == "one\n"
    assert done.path == config.current().data_dir.resolve() / "projects" / "billing"
    assert projects.resolve(alice, done.root).project.id == project.id
    assert projects.add(alice, opened.url).name == "billing-2"


def test_a_clone_that_fails_says_why_and_can_be_tried_again(alice: Actor, opened: Served) -> None:
    project = projects.add(alice, opened.url.replace("billing", "missing"))
    clones.clone(project.id)
    failed = projects.get(alice, project.id)
    assert failed.state == "failed"
    assert failed.progress["error"].startswith("It could not be cloned:")
    assert not failed.path.exists()
    failed.path.mkdir()
    with pytest.raises(Conflict):
        projects.resolve(alice, failed.root)
    again = projects.add(alice, failed.origin)
    assert (again.id, again.state) == (failed.id, "cloning")


def test_an_address_that_is_no_longer_open_fails(alice: Actor, opened: Served) -> None:
    project = projects.add(alice, opened.url)
    config.use(dataclasses.replace(config.current(), outbound_allow=()))
    clones.clone(project.id)
    assert "not allowed" in projects.get(alice, project.id).progress["error"]
    assert opened.asked == []


def test_hooks_of_the_clone_do_not_run_and_redirects_are_not_followed(alice: Actor, opened: Served) -> None:
    project = projects.add(alice, opened.url)
    clones.clone(project.id)
    assert not (projects.get(alice, project.id).path / ".git/hooks").exists()


def test_two_workers_never_clone_the_same(alice: Actor, opened: Served) -> None:
    project = projects.add(alice, opened.url)
    assert clones._claim(project.id) is not None
    assert clones._claim(project.id) is None
    with db.transaction() as conn:
        conn.execute(table.update().values(beat=ids.now() - clones.SILENT - 1))
    assert clones._claim(project.id) is not None


def test_it_can_be_cancelled(alice: Actor, opened: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    project = projects.add(alice, opened.url)
    begun, cancelled = threading.Event(), threading.Event()
    ask = clones._Watch.is_wanted

    def is_wanted(watch: clones._Watch) -> bool:
        begun.set()
        cancelled.wait(10)
        watch._asked = 0
        return ask(watch)

    monkeypatch.setattr(clones._Watch, "is_wanted", is_wanted)
    worker = threading.Thread(target=clones.clone, args=(project.id,))
    worker.start()
    assert begun.wait(10)
    projects.cancel(alice, project.id)
    cancelled.set()
    worker.join(20)
    assert not project.path.exists()
    with pytest.raises(NotFound):
        projects.get(alice, project.id)


def test_progress_is_shown_on_the_row(alice: Actor, opened: Served) -> None:
    project = projects.add(alice, opened.url)
    watch = clones._Watch(project)
    watch.progress("Cloning into 'x'...")
    watch.progress("Receiving objects:  24% (1204/5000), 12.40 MiB | 5.00 MiB/s")
    assert projects.get(alice, project.id).progress == {
        "phase": "Receiving objects",
        "percent": 24,
        "done": 1204,
        "total": 5000,
        "bytes": "12.40 MiB",
    }
