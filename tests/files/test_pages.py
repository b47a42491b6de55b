from __future__ import annotations

from pathlib import Path

import pytest

from app.actor import Actor
from app.projects import service as projects
from app.projects.service import Project
from tests import repository
from tests.visitor import Browser, is_whole


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A committed repository with one file changed, one new and one deleted since."""
    root = repository.make(tmp_path / "shop", files=3)
    (root / "shop" / "basket.py").write_text(repository.CODE.replace(repository.BROKEN, repository.FIXED))
    (root / "notes.md").write_text("# Notes\n\n- *first*\n")
    (root / "lib00" / "module_000.py").unlink()
    return root


@pytest.fixture
def project(alice: Actor, root: Path, app: object) -> Project:
    return projects.add(alice, str(root))


@pytest.fixture
def base(project: Project) -> str:
    return f"/browse/{project.id}"


def test_a_folder_is_a_whole_page(browser: Browser, base: str) -> None:
    page = browser.get(base)
    assert page.status_code == 200, page.text
    assert is_whole(page)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/shop/basket.py",
        "/notes.md",
        "/notes.md?view=source",
        "?view=changes",
        "/shop/basket.py?view=changes",
        "/shop/basket.py?view=edit",
        "/shop/basket.py?view=move",
        "/shop/basket.py?view=remove",
        "/lib00/module_000.py",
        "/shop",
    ],
)
def test_page(browser: Browser, base: str, path: str) -> None:
    page = browser.get(base + path)
    assert page.status_code == 200, page.text[:3000]
    assert is_whole(page)


def test_find(browser: Browser, project: Project) -> None:
    for q in ("bask", "bask&in=text", "(&in=text&regex=1", ""):
        page = browser.get(f"/browse/find/{project.id}?q={q}")
        assert page.status_code == 200, page.text
