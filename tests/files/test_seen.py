"""A listing is made anew as soon as anything in it has changed, and shared only with those who asked before it began."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from app.errors import NotFound
from app.files import seen
from app.files.paths import TEMPORARY, Root
from tests.visitor import until

CHANGES: dict[str, Callable[[Path], object]] = {
    "grows": lambda folder: (folder / "a").write_text("longer"),
    "is touched": lambda folder: os.utime(folder / "a", ns=(0, 1_000_000)),
    "changes its mode": lambda folder: (folder / "a").chmod(0o600),
    "becomes a folder": lambda folder: ((folder / "a").unlink(), (folder / "a").mkdir()),
    "is removed": lambda folder: (folder / "a").unlink(),
    "is renamed": lambda folder: (folder / "a").rename(folder / "b"),
    "comes": lambda folder: (folder / "new").write_text(""),
    "leads elsewhere": lambda folder: ((folder / "link").unlink(), (folder / "link").symlink_to("c")),
    "leads to a folder now": lambda folder: (folder / "b").mkdir(),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a").write_text("a")
    (tmp_path / "a").chmod(0o644)
    (tmp_path / "link").symlink_to("b")
    return tmp_path


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_what_has_changed_is_told_at_once_and_what_has_not_is_the_same_object(
    folder: Path, change: Callable[[Path], object]
) -> None:
    root = Root(folder)
    first = root.scan_here(".")
    assert root.scan_here("~") is first
    change(folder)
    second = root.scan_here(".")
    assert second != first
    assert second == tuple(root.lstat(name) for name in sorted(path.name for path in folder.iterdir()))
    assert root.scan_here(".") is second


def test_drafts_are_not_listed(folder: Path) -> None:
    first = Root(folder).scan_here(".")
    (folder / f"{TEMPORARY}1").write_text("half")
    assert Root(folder).scan_here(".") is first


def test_a_new_file_is_seen_by_whoever_asks_after_it_came(folder: Path) -> None:
    root, over = Root(folder), threading.Event()

    def ask() -> None:
        while not over.is_set():
            root.scan_here(".")

    others = [threading.Thread(target=ask) for _ in range(4)]
    for other in others:
        other.start()
    try:
        for number in range(200):
            (folder / f"n{number:03}").write_text("")
            assert f"n{number:03}" in [entry.name for entry in root.scan_here(".")]
    finally:
        over.set()
        for other in others:
            other.join()


class TestTogether:
    """One look for all who come while another is under way."""

    KEY: seen.Key = ("root", ("x",), "")

    def test_those_who_come_during_a_look_share_the_next_one(self) -> None:
        begun, go, looks, given = threading.Event(), threading.Event(), [0], []

        def look() -> tuple[()]:
            looks[0] += 1
            begun.set()
            assert go.wait(20)
            return ()

        def ask() -> None:
            given.append(seen.together(self.KEY, look))

        first = threading.Thread(target=ask)
        first.start()
        assert begun.wait(20)
        rest = [threading.Thread(target=ask) for _ in range(6)]
        for thread in rest:
            thread.start()
        until(lambda: seen.waiting(self.KEY) == 6)
        go.set()
        for thread in (first, *rest):
            thread.join()
        assert (looks[0], len(given), seen.waiting(self.KEY)) == (2, 7, 0)

    def test_what_goes_wrong_for_one_is_tried_again_by_the_others(self) -> None:
        begun, go, tries, told = threading.Event(), threading.Event(), [0], []

        def look() -> tuple[()]:
            tries[0] += 1
            begun.set()
            assert go.wait(20)
            raise NotFound("file", "x")

        def ask() -> None:
            with pytest.raises(NotFound) as refused:
                seen.together(self.KEY, look)
            told.append(refused.value)

        threads = [threading.Thread(target=ask)]
        threads[0].start()
        assert begun.wait(20)
        threads += [threading.Thread(target=ask) for _ in range(3)]
        for thread in threads[1:]:
            thread.start()
        until(lambda: seen.waiting(self.KEY) == 3)
        go.set()
        for thread in threads:
            thread.join()
        assert (tries[0], len(set(map(id, told)))) == (4, 4)
