from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from app import db
from app.actor import Actor
from app.dialects.mount import Cabin
from app.projects import rows, service, trees
from app.projects.models import worktree as table
from app.projects.service import Project
from app.sessions import service as sessions
from tests.conftest import Caller, member
from tests.visitor import Browser, data_of, frames, is_whole, until


def test_the_sample_is_listed_and_stays(browser: Browser, alice: Actor) -> None:
    page = browser.get("/projects")
    assert is_whole(page)
    assert "Only the sample" in page.text
    assert "/remove" not in page.text


def test_a_directory_is_added_and_taken_off(browser: Browser, alice: Actor, repository: Path) -> None:
    assert browser.post("/projects", {"source": str(repository)}).headers["Location"] == "/projects"
    project = next(one for one in service.list_all(alice) if one.root == str(repository))
    page = browser.get("/projects").text
    assert f'id="project-{project.id}"' in page
    assert browser.post(f"/projects/{project.id}/remove").status_code == 303
    assert f'id="project-{project.id}"' not in browser.get("/projects").text
    assert repository.is_dir()


def test_what_cannot_be_added_is_told_and_kept(browser: Browser) -> None:
    answer = browser.post("/projects", {"source": "/nowhere/<b>"})
    assert answer.status_code == 400
    assert 'value="/nowhere/&lt;b&gt;"' in answer.text
    assert 'role="alert"' in answer.text
    assert "<b>" not in answer.text.split("source-error")[1].split("</p>")[0]


def test_what_clients_were_refused_can_be_added(browser: Browser, call: Caller, repository: Path) -> None:
    answer = call.get("/opencode/session", headers={"x-opencode-directory": str(repository)})
    assert answer.status_code == 403
    db.append(lambda _conn: None).result(timeout=10)
    assert str(repository) in browser.get("/projects").text


def test_a_clone_is_shown_while_it_goes_on(browser: Browser, alice: Actor) -> None:
    streamed = frames(browser.get("/live?lastEventId=0", buffered=False))
    new = rows.fresh("far", Path("/nowhere/far"), alice.user, state="cloning", origin="https://example.com/far.git")
    with db.transaction() as conn:
        project = rows.insert(conn, new)
        rows.update(conn, project, progress={"phase": "Receiving objects", "percent": 50, "done": 5, "total": 10})
    swap = f'hx-target="#project-{project.id}" hx-swap="outerHTML"'
    assert "5 of 10" in next(data_of(frame) for frame in streamed if swap in frame)
    streamed.close()
    assert browser.post(f"/projects/{project.id}/cancel").status_code == 303
    again = browser.post(f"/projects/{project.id}/cancel")
    assert again.status_code == 404


def test_a_member_may_not_add(app: Cabin, bob: Actor, repository: Path) -> None:
    theirs = Browser(app, bob)
    assert is_whole(theirs.get("/projects"))
    assert theirs.post("/projects", {"source": str(repository)}).status_code == 403


@pytest.fixture
def billing(browser: Browser, alice: Actor, repository: Path) -> Project:
    """A repository of the team."""
    return service.add(alice, str(repository))


def worktree(actor: Actor, project: Project, words: str = "Fix rounding") -> tuple[Path, str]:
    """A further worktree: its directory and the address that removes it."""
    place = service.with_worktree(actor, project, project.path, words).directory
    with db.read() as conn:
        (one,) = trees.select(conn, table.c.directory == str(place))
    return place, f"/projects/{project.id}/worktrees/{one.id}/remove"


def test_a_project_shows_its_worktrees_and_what_would_be_lost(browser: Browser, alice: Actor, billing: Project) -> None:
    place, remove = worktree(alice, billing)
    (place / "draft.txt").write_text("x\n")
    empty, _remove = worktree(alice, billing, "Nothing yet")
    session = sessions.create(alice, service.resolve(alice, str(place)), title="Fix rounding once")
    page = browser.get(f"/projects?project={billing.id}")
    assert is_whole(page)
    panel = page.text.split('id="project-panel"')[1]
    for words in ("signalcabin/fix-rounding", "1 file not committed", f"/sessions/{session.id}", "Type fix-rounding"):
        assert words in panel
    assert remove in panel
    assert "nothing of its own" in panel
    row = page.text.split(f'id="project-{billing.id}"')[1].split("</tr>")[0]
    assert "1 worktree" in row
    assert empty.exists()


def test_a_worktree_with_work_goes_only_by_its_name(browser: Browser, alice: Actor, billing: Project) -> None:
    place, remove = worktree(alice, billing)
    (place / "draft.txt").write_text("x\n")
    for form in ({}, {"typed": "another"}):
        answer = browser.post(remove, form)
        assert answer.status_code == 409
        assert is_whole(answer)
        assert "fix-rounding holds 1 file not committed" in answer.text
        assert 'role="alert"' in answer.text
    assert (place / "draft.txt").exists()
    assert browser.post(remove, {"typed": "fix-rounding"}).status_code == 303
    assert not place.exists()


def test_a_worktree_without_work_goes_at_once(browser: Browser, alice: Actor, billing: Project) -> None:
    place, remove = worktree(alice, billing)
    answer = browser.post(remove)
    assert (answer.status_code, answer.headers["Location"]) == (303, f"/projects?project={billing.id}")
    assert not place.exists()
    assert browser.post(remove).status_code == 404


def test_a_worktree_in_use_stays(browser: Browser, alice: Actor, billing: Project) -> None:
    place, remove = worktree(alice, billing)
    session = sessions.create(alice, service.resolve(alice, str(place)), provider="demo", model="walkthrough")
    sessions.send(alice, session.id, [{"type": "text", "text": "Go"}])
    until(lambda: sessions.get(alice, session.id).state == "waiting" or sessions.get(alice, session.id).is_busy)
    answer = browser.post(remove, {"typed": "fix-rounding"})
    assert answer.status_code == 409
    assert "1 session works in fix-rounding" in answer.text
    assert place.exists()


def test_a_worktree_that_is_gone_is_told(browser: Browser, alice: Actor, billing: Project) -> None:
    place, remove = worktree(alice, billing)
    shutil.rmtree(place)
    service.reconcile()
    page = browser.get(f"/projects?project={billing.id}").text
    assert "The directory is missing." in page
    assert "stays on <code>signalcabin/fix-rounding</code>" in page
    assert browser.post(remove).status_code == 303


def test_members_remove_their_own_worktrees_only(app: Cabin, alice: Actor, bob: Actor, billing: Project) -> None:
    theirs = Browser(app, bob)
    place, remove = worktree(alice, billing)
    assert remove not in theirs.get(f"/projects?project={billing.id}").text
    assert theirs.post(remove).status_code == 403
    mine, remove_mine = worktree(bob, billing, "Mine")
    assert remove_mine in theirs.get(f"/projects?project={billing.id}").text
    assert theirs.post(remove_mine).status_code == 303
    assert (place.exists(), mine.exists()) == (True, False)


def test_a_directory_without_git_says_that_it_has_no_worktrees(browser: Browser, alice: Actor, tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    project = service.add(alice, str(tmp_path / "notes"))
    assert "checkpoints yes, worktrees no" in browser.get(f"/projects?project={project.id}").text


@pytest.mark.parametrize(
    "path",
    ["/projects", "/projects/prj_x/remove", "/projects/prj_x/cancel", "/projects/prj_x/worktrees/wtr_x/remove"],
)
def test_forms_need_the_token_and_our_own_origin(browser: Browser, path: str) -> None:
    assert browser.post(path, {"source": "/"}, token="").status_code == 403
    assert browser.post(path, {"source": "/"}, headers={"Origin": "https://evil.example"}).status_code == 403


def test_an_unknown_project_is_a_page_that_says_so(browser: Browser) -> None:
    answer = browser.post("/projects/prj_x/remove")
    assert answer.status_code == 404
    assert is_whole(answer)


def test_a_stranger_is_led_to_sign_in(stranger: Caller) -> None:
    assert stranger.get("/projects", headers={"Accept": "text/html"}).status_code == 303


def test_who_may_add_no_project_is_offered_no_form_for_it(
    app: Cabin, alice: Actor, browser: Browser, repository: Path
) -> None:
    vera = Browser(app, member(alice, "Vera", "viewer"))
    page = vera.get("/projects").text
    assert "Only the sample." in page
    assert 'action="/projects"' not in page
    new = rows.fresh("far", Path("/nowhere/far"), alice.user, state="failed", origin="https://example.com/far.git")
    with db.transaction() as conn:
        failed = rows.insert(conn, new)
    assert f'action="/projects/{failed.id}/remove"' in browser.get("/projects").text
    page = vera.get("/projects").text
    assert f'id="project-{failed.id}"' in page
    assert 'action="/projects' not in page


def test_who_sees_no_project_is_told_so(app: Cabin, alice: Actor) -> None:
    service.set_visibility(alice, service.resolve(alice, None).project.id, "members")
    page = Browser(app, member(alice, "Ada", "admin")).get("/projects").text
    assert "No project yet. Add one by path or clone URL." in page
    assert "Only the sample" not in page
    page = Browser(app, member(alice, "Vera", "viewer")).get("/projects").text
    assert "You see no project yet. Whoever has added one can let you in." in page
