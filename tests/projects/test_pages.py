from __future__ import annotations

from pathlib import Path

import pytest

from app import db
from app.actor import Actor
from app.dialects.mount import Cabin
from app.projects import rows, service
from tests.conftest import Caller
from tests.visitor import Browser, data_of, frames, is_whole


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


@pytest.mark.parametrize("path", ["/projects", "/projects/prj_x/remove", "/projects/prj_x/cancel"])
def test_forms_need_the_token_and_our_own_origin(browser: Browser, path: str) -> None:
    assert browser.post(path, {"source": "/"}, token="").status_code == 403
    assert browser.post(path, {"source": "/"}, headers={"Origin": "https://evil.example"}).status_code == 403


def test_an_unknown_project_is_a_page_that_says_so(browser: Browser) -> None:
    answer = browser.post("/projects/prj_x/remove")
    assert answer.status_code == 404
    assert is_whole(answer)


def test_a_stranger_is_led_to_sign_in(stranger: Caller) -> None:
    assert stranger.get("/projects", headers={"Accept": "text/html"}).status_code == 303
