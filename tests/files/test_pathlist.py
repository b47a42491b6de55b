"""The kept list of paths: it always says what a new listing would, and needs none for it."""

from __future__ import annotations

import random
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from app import config
from app.actor import Actor
from app.config import Config
from app.dialects.mount import Cabin
from app.errors import Unavailable
from app.files import pathlist, service, watching
from app.files.coarse import CoarseWatcher
from app.files.pathlist import PathList
from app.projects import service as projects
from app.projects.service import Place
from tests import repository
from tests.patience import PATIENCE


@pytest.fixture
def shop(tmp_path: Path, settings: Config) -> Path:
    """A repository whose ignore file leaves out built things."""
    config.use(settings)
    made = repository.make(tmp_path / "shop", files=20).resolve()
    (made / ".gitignore").write_text("__pycache__/\nnode_modules/\n*.log\n!keep.log\n")
    return made


@pytest.fixture
def kept(shop: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PathList]:
    """The repository's list, watched by now."""
    monkeypatch.setattr(watching, "_is_stopping", False)
    listing = PathList(shop)
    listing.refresh()
    assert listing.settled.wait(PATIENCE)
    assert listing.is_watched
    yield listing
    listing.close()
    watching.stop()


def anew(shop: Path) -> set[str]:
    """What a new listing says."""
    files = pathlist._listed(shop, [])
    return {*files, *(f"{name}/" for name in pathlist.folders_of(files))}


def count_listings(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The arguments of each listing from now on."""
    made: list[list[str]] = []
    listed = pathlist._listed
    monkeypatch.setattr(pathlist, "_listed", lambda path, more: (made.append(more), listed(path, more))[1])
    return made


def now(kept: PathList) -> set[str]:
    kept.refresh()
    return set(kept.index)


def test_what_is_made_or_removed_is_known_at_once_without_a_new_listing(
    kept: PathList, shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = count_listings(monkeypatch)
    assert now(kept) == anew(shop)
    del made[:]
    (shop / "shop" / "new.py").touch()
    assert "shop/new.py" in now(kept)
    assert made == [["--max-depth=1"]]
    (shop / "shop" / "new.py").rename(shop / "shop" / "other.py")
    assert {"shop/new.py", "shop/other.py"} & now(kept) == {"shop/other.py"}
    (shop / "shop" / "other.py").unlink()
    (shop / "README.md").write_text("changed")
    assert "shop/other.py" not in now(kept)
    assert made == [["--max-depth=1"]] * 2


def test_what_is_ignored_stays_out_and_is_not_watched(
    kept: PathList, shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (shop / "node_modules" / "left-pad" / "lib").mkdir(parents=True)
    (shop / "shop" / "debug.log").touch()
    (shop / "shop" / "keep.log").touch()
    assert now(kept) == anew(shop)
    assert "shop/keep.log" in kept.index
    watched = len(watching.running())
    made = count_listings(monkeypatch)
    (shop / "node_modules" / "left-pad" / "index.js").touch()
    (shop / "node_modules" / "right-pad").mkdir()
    (shop / "shop" / "keep.log").write_text("more")
    kept.refresh()
    assert made == []
    assert len(watching.running()) == watched
    shutil.rmtree(shop / "node_modules")
    (shop / "node_modules").mkdir()
    assert now(kept) == anew(shop)


@pytest.mark.parametrize("rules", [".gitignore", "shop/.gitignore", ".ignore", ".git/info/exclude"])
def test_new_rules_hold_at_once(kept: PathList, shop: Path, rules: str) -> None:
    (shop / "shop" / "debug.log").touch()
    (shop / "build").mkdir()
    (shop / "build" / "out.js").touch()
    assert now(kept) == anew(shop)
    before = (shop / rules).read_text() if (shop / rules).exists() else None
    (shop / rules).write_text("*.py\n")
    assert now(kept) == anew(shop)
    assert "shop/basket.py" not in kept.index
    if before is None:
        (shop / rules).unlink()
    else:
        (shop / rules).write_text(before)
    assert now(kept) == anew(shop)
    assert "shop/basket.py" in kept.index
    (shop / "shop" / "further.py").touch()
    assert "shop/further.py" in now(kept)


def test_directories_that_are_empty_at_first_are_watched_however_deep(kept: PathList, shop: Path) -> None:
    (shop / "one" / "two" / "three").mkdir(parents=True)
    assert now(kept) == anew(shop)
    (shop / "one" / "two" / "three" / "late.py").touch()
    assert "one/two/three/late.py" in now(kept)
    (shop / "one").rename(shop / "uno")
    assert now(kept) == anew(shop)
    (shop / "uno" / "two" / "more.py").touch()
    assert now(kept) == anew(shop)
    shutil.rmtree(shop / "uno")
    assert now(kept) == anew(shop)


def test_a_checkout_is_followed(kept: PathList, shop: Path) -> None:
    repository.git(shop, "checkout", "-q", "-b", "other")
    for number in range(60):
        (shop / f"new{number % 12}").mkdir(exist_ok=True)
        (shop / f"new{number % 12}" / f"f{number}.py").touch()
    repository.git(shop, "add", "-A")
    repository.git(shop, "-c", "user.name=T", "-c", "user.email=t@example.com", "commit", "-q", "-m", "More")
    for branch in ("main", "other", "main"):
        repository.git(shop, "checkout", "-q", branch)
        assert now(kept) == anew(shop)


def test_after_hundreds_of_random_changes_it_says_what_a_new_listing_says(kept: PathList, shop: Path) -> None:
    dice = random.Random(4)
    names = ["a.py", "b.log", "keep.log", "src", "node_modules", "docs", "c.md", ".hidden", ".env"]
    for step in range(400):
        folders = [shop, *(path for path in shop.rglob("*") if path.is_dir() and ".git" not in path.parts)]
        path = dice.choice(folders) / dice.choice(names)
        if path.is_dir() and dice.random() < 0.5:
            shutil.rmtree(path)
        elif path.is_file() and dice.random() < 0.5:
            path.unlink()
        elif not path.exists() and (path.suffix or path.name.startswith(".")):
            path.touch()
        elif not path.exists():
            path.mkdir()
        else:
            target = dice.choice(folders) / f"moved{step}"
            if not target.is_relative_to(path):
                path.rename(target)
        if dice.random() < 0.25:
            assert now(kept) == anew(shop), f"after step {step}"
    assert now(kept) == anew(shop)


def test_it_goes_on_by_new_listings_where_nothing_can_be_watched(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> watching.Watcher:
        raise Unavailable("No more.")

    for running in (refuse, CoarseWatcher):
        monkeypatch.setattr(watching, "running", running)
        listing = PathList(shop)
        listing.refresh()
        assert listing.settled.wait(PATIENCE)
        assert not listing.is_watched
        name = f"by_{running.__name__}.py"
        (shop / name).touch()
        assert name in now(listing)


def test_a_directory_that_comes_back_is_watched_again(kept: PathList, shop: Path) -> None:
    shop.rename(shop.parent / "away")
    (shop / "src").mkdir(parents=True)
    (shop / "src" / "other.py").touch()
    assert now(kept) == {"src/", "src/other.py"}
    kept.settled.wait(PATIENCE)


def test_lists_are_few_and_go_when_nobody_asks(
    app: Cabin, alice: Actor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pathlist, "MOST_KEPT", 2)
    pathlist.clear()
    for name in ("one", "two", "three"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}.py").touch()
        projects.add(alice, str(tmp_path / name))
        assert service.find_files(alice, projects.resolve(alice, str(tmp_path / name)), name) == [f"{name}.py"]
        assert pathlist.of(tmp_path / name).settled.wait(PATIENCE)
    assert list(pathlist._kept) == [str(tmp_path / "two"), str(tmp_path / "three")]
    monkeypatch.setattr(pathlist, "IDLE", 0.0)
    for listing in list(pathlist._kept.values()):
        listing._rest()
    assert not pathlist._kept
    assert len(watching.running()) == 0


def test_the_servers_own_data_is_not_found(app: Cabin, alice: Actor, tmp_path: Path) -> None:
    projects.add(alice, str(tmp_path))
    place = projects.resolve(alice, str(tmp_path))
    (tmp_path / "signalcabin_notes.md").touch()
    assert service.find_files(alice, place, "signalcabin") == ["signalcabin_notes.md"]
    listing = pathlist.of(place.directory)
    assert listing.settled.wait(PATIENCE)
    (config.current().data_dir / "signalcabin_later.txt").touch()
    assert service.find_files(alice, place, "signalcabin") == ["signalcabin_notes.md"]


def test_many_may_ask_at_once_while_files_come(app: Cabin, alice: Actor, here: Place) -> None:
    service.find_files(alice, here, "a")
    assert pathlist.of(here.directory).settled.wait(PATIENCE)
    missed: list[str] = []

    def work(part: int) -> None:
        for number in range(15):
            name = f"part{part}_{number}.py"
            (here.directory / "docs" / name).touch()
            if service.find_files(alice, here, name, limit=1) != [f"docs/{name}"]:
                missed.append(name)

    workers = [threading.Thread(target=work, args=(part,)) for part in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert missed == []
