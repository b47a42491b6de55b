"""Files are listed, read and found within their place and nowhere else."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from app import config
from app.actor import Actor
from app.errors import Denied, Invalid, NotFound, TooLarge
from app.files import changes, ranking, ripgrep, service
from app.projects import service as projects
from app.projects.service import Place

NASTY = [
    "(a+)+$",
    "(a|a)*$",
    "(.*a){25}",
    "^(([a-z])+.)+[A-Z]([a-z])+$",
    "(x+x+)+y",
    "(a|aa)+$",
    "a{1,1000}{1,1000}",
    "(.+)*=",
]


def git(directory: Path, *words: str) -> None:
    who = ["-c", "user.name=Alice", "-c", "user.email=alice@example.com"]
    subprocess.run(["git", *who, *words], cwd=directory, check=True, capture_output=True)


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A committed repository beside a secret, with a link that leads to it."""
    work = tmp_path / "shop"
    (work / "billing").mkdir(parents=True)
    (work / "tests").mkdir()
    (work / "build").mkdir()
    (tmp_path / "secret.txt").write_text("needle outside\n")
    (work / "README.md").write_text("# Shop\n\nneedle\n")
    (work / ".gitignore").write_text("build/\n")
    (work / "billing" / "invoices.py").write_text("def total():\n    return 1  # needle\n")
    (work / "billing" / "tax.py").write_text("RATE = 19\n")
    (work / "tests" / "test_invoices.py").write_text("assert True\n")
    (work / "build" / "out.txt").write_text("needle ignored\n")
    (work / "leak").symlink_to("../secret.txt")
    git(work, "init", "-q", "-b", "main")
    git(work, "add", "-A")
    git(work, "commit", "-q", "-m", "first")
    return work


@pytest.fixture
def place(alice: Actor, workspace: Path) -> Place:
    projects.add(alice, str(workspace))
    return projects.resolve(alice, str(workspace))


def test_it_lists_a_folder_with_folders_first(alice: Actor, place: Place) -> None:
    found = service.list_directory(alice, place, "")
    assert [node.name for node in found] == ["billing", "build", "tests", ".gitignore", "leak", "README.md"]
    assert [node.name for node in found if node.is_ignored] == ["build"]
    inner = service.list_directory(alice, place, "billing")[0]
    assert (inner.path, inner.absolute) == (
        "billing/invoices.py",
        str(place.directory / "billing/invoices.py"),
    )


def test_odd_names_are_ignored_by_their_letters_alone(alice: Actor, place: Place) -> None:
    names = [":(top)x", "*.log", "[a]", "-x", "!y", "plain.log"]
    for name in names:
        (place.directory / "tests" / name).write_text("")
    (place.directory / "tests" / ".gitignore").write_text("\\*.log\n:*\n-x\n")
    found = {node.name: node.is_ignored for node in service.list_directory(alice, place, "tests")}
    assert {name for name in names if found[name]} == {":(top)x", "*.log", "-x"}


@pytest.mark.parametrize("name", ["..", "../secret.txt", "/etc/passwd", "billing/../../secret.txt", "leak"])
def test_it_reads_nothing_outside(alice: Actor, place: Place, name: str) -> None:
    with pytest.raises(Denied):
        service.read(alice, place, name)


@pytest.mark.parametrize("name", ["..", "/etc", "leak"])
def test_it_lists_nothing_outside(alice: Actor, place: Place, name: str) -> None:
    with pytest.raises(Denied):
        service.list_directory(alice, place, name)


def test_it_shows_none_of_the_servers_own_data(alice: Actor, tmp_path: Path) -> None:
    home = tmp_path / "holder"
    (home / "var").mkdir(parents=True)
    (home / "var" / "master.key").write_text("needle key\n")
    (home / "way").symlink_to("var/master.key")
    project = projects.add(alice, str(home))
    config.use(replace(config.current(), data_dir=home / "var"))
    place = Place(project, home, home)
    for name in ("var/master.key", "way"):
        with pytest.raises(Denied):
            service.read(alice, place, name)
    with pytest.raises(Denied):
        service.list_directory(alice, place, "var")
    assert [node.name for node in service.list_directory(alice, place)] == ["way"]
    assert service.find_text(alice, place, "needle") == []
    assert service.find_files(alice, place, "master") == []


def test_it_reads_text_with_its_changes_since_the_commit(alice: Actor, place: Place) -> None:
    (place.directory / "billing" / "tax.py").write_text("RATE = 7\n")
    found = service.read(alice, place, "billing/tax.py")
    assert (found.text, found.is_binary, [hunk.lines for hunk in found.hunks]) == (
        "RATE = 7\n", False, [("-RATE = 19", "+RATE = 7")],
    )  # fmt: skip


def test_it_reads_what_is_no_text_as_bytes(alice: Actor, place: Place) -> None:
    (place.directory / "logo.png").write_bytes(b"\x89PNG\0")
    found = service.read(alice, place, "logo.png")
    assert (found.is_binary, found.data, found.mime) == (True, b"\x89PNG\0", "image/png")


def test_it_refuses_folders_large_and_missing_files(alice: Actor, place: Place) -> None:
    with pytest.raises(Invalid):
        service.read(alice, place, "billing")
    with pytest.raises(TooLarge):
        service.read(alice, place, "README.md", limit=3)
    with pytest.raises(NotFound):
        service.read(alice, place, "nowhere.txt")


def test_it_asks_whether_the_actor_may(alice: Actor, charlie: Actor, place: Place) -> None:
    for verb in (service.list_directory, service.list_changes):
        with pytest.raises((Denied, NotFound)):
            verb(charlie, place)
    with pytest.raises((Denied, NotFound)):
        service.read(charlie, place, "README.md")
    for find in (service.find_text, service.find_files):
        with pytest.raises((Denied, NotFound)):
            find(charlie, place, "needle")


def test_it_tells_what_changed(alice: Actor, place: Place) -> None:
    work = place.directory
    (work / "billing" / "tax.py").write_text("RATE = 19\nREDUCED = 7\n")
    (work / "README.md").unlink()
    (work / "new.txt").write_text("one\ntwo\n")
    git(work, "mv", "tests/test_invoices.py", "tests/test_bills.py")
    found = [(one.path, one.added, one.removed, one.status) for one in service.list_changes(alice, place)]
    assert found == [
        ("README.md", 0, 3, "deleted"),
        ("billing/tax.py", 1, 0, "modified"),
        ("new.txt", 2, 0, "added"),
        ("tests/test_bills.py", 1, 0, "added"),
        ("tests/test_invoices.py", 0, 1, "deleted"),
    ]


def test_a_place_below_its_repository_hears_of_its_own_changes_only(alice: Actor, place: Place) -> None:
    (place.directory / "billing" / "tax.py").write_text("")
    (place.directory / "README.md").write_text("")
    found = changes.list_all(place.directory / "billing")
    assert [(one.path, one.added, one.removed) for one in found] == [("tax.py", 0, 1)]


def test_without_git_nothing_changed(tmp_path: Path) -> None:
    assert changes.list_all(tmp_path) == []


def test_it_counts_lines_of_large_repetitive_files_in_time(place: Place) -> None:
    text = "same\n" * 20_000
    assert list(changes.compare(text, text + "more\n")) == []


def test_it_marks_a_missing_line_end() -> None:
    (hunk,) = changes.compare("a\n", "b")
    assert hunk.lines == ("-a", "+b", "\\ No newline at end of file")


def test_it_finds_text_in_order_and_leaves_out_what_is_ignored(alice: Actor, place: Place) -> None:
    found = service.find_text(alice, place, "need+le")
    assert [(one.path, one.line_number) for one in found] == [("README.md", 3), ("billing/invoices.py", 2)]
    assert found[1].spans == (("needle", 16, 22),)
    assert found[1].line == "    return 1  # needle\n"


def test_it_finds_ten_lines_a_file_and_no_more_than_asked(alice: Actor, place: Place) -> None:
    for name in ("a.txt", "b.txt"):
        (place.directory / name).write_text("hit\n" * 50)
    assert len(service.find_text(alice, place, "^hit$")) == 20
    assert len(service.find_text(alice, place, "^hit$", limit=5)) == 5


@pytest.mark.parametrize("pattern", ["-f/etc/passwd", "--pre=id", "--files"])
def test_a_pattern_is_never_an_option(alice: Actor, place: Place, pattern: str) -> None:
    (place.directory / "odd.txt").write_text(f"{pattern}\n")
    assert [one.path for one in service.find_text(alice, place, pattern)] == ["odd.txt"]


@pytest.mark.parametrize("pattern", ["[", "(?=x)", "", "a\0b", "a\nb"])
def test_it_refuses_what_is_no_regular_expression(alice: Actor, place: Place, pattern: str) -> None:
    with pytest.raises(Invalid):
        service.find_text(alice, place, pattern)


@pytest.mark.parametrize("pattern", NASTY)
def test_no_pattern_takes_long(alice: Actor, place: Place, pattern: str) -> None:
    (place.directory / "long.txt").write_text("a" * 20_000 + "!\n" + "x" * 20_000 + "\n")
    began = time.monotonic()
    try:
        service.find_text(alice, place, pattern)
    except Invalid:
        assert pattern == "a{1,1000}{1,1000}"
    assert time.monotonic() - began < 20


def test_a_long_line_is_cut(alice: Actor, place: Place) -> None:
    (place.directory / "min.js").write_text("x" * 10_000 + "zebra\n")
    (found,) = service.find_text(alice, place, "zebra")
    assert (len(found.line), found.spans) == (service.LONGEST_LINE, ())


def test_a_search_that_is_late_ends(place: Place) -> None:
    began = time.monotonic()
    with ripgrep.Search(["--files"], place.directory, most=1000, seconds=0) as late:
        assert list(late) == []
    assert late.is_late
    assert time.monotonic() - began < 10


def test_a_search_ends_when_enough_has_come(place: Place) -> None:
    with ripgrep.Search(["--files"], place.directory, most=10_000) as search:
        next(iter(search))
    assert search._process.returncode is not None


def test_a_search_ends_when_its_caller_says_so(place: Place) -> None:
    said = threading.Event()
    said.set()
    found = ripgrep.search(["--files"], place.directory, 10, cancel=said)
    assert (found.records, found.is_stopped, found.is_late, found.is_cut) == ([], True, False, False)


def test_a_search_says_whether_there_was_more(place: Place) -> None:
    every = ripgrep.search(["--files"], place.directory, 1000)
    assert (len(every.records) > 2, every.is_cut) == (True, False)
    some = ripgrep.search(["--files"], place.directory, 2)
    assert (len(some.records), some.is_cut) == (2, True)


def test_names_that_are_no_unicode_do_no_harm(alice: Actor, place: Place) -> None:
    path = os.fsencode(place.directory) + b"/caf\xe9.txt"
    with open(path, "wb") as file:  # noqa: PTH123
        file.write(b"caf\xe9 needle\n")
    assert "caf\ufffd.txt" in service.find_files(alice, place, "caf")
    assert any(one.path == "caf\ufffd.txt" for one in service.find_text(alice, place, "needle"))
    assert any(one.path.endswith(".txt") for one in service.list_changes(alice, place))


def test_it_finds_files_and_directories_by_letters(alice: Actor, place: Place) -> None:
    assert service.find_files(alice, place, "invoices") == ["billing/invoices.py", "tests/test_invoices.py"]
    assert service.find_files(alice, place, "bill") == ["billing/", "billing/tax.py", "billing/invoices.py"]
    assert service.find_files(alice, place, "bill", kind="directory") == ["billing/"]
    assert service.find_files(alice, place, "zzz") == []


def test_without_letters_it_shows_what_is_near_the_top(alice: Actor, place: Place) -> None:
    assert service.find_files(alice, place, "") == ["billing/", "tests/"]
    assert service.find_files(alice, place, " ", kind="file", limit=2) == [".gitignore", "README.md"]


def test_the_likeliest_file_comes_first() -> None:
    names = [
        "docs/taxes/other.md", "app/syntax.py", "app/tax_rates.py", "app/income_tax.py", "app/tax.py", "tax",
        "app/TheAxisX.py", "t/a/x.py",
    ]  # fmt: skip
    assert ranking.best(names, "Tax", 10) == [
        "tax", "app/tax.py", "app/tax_rates.py", "app/income_tax.py", "app/syntax.py", "app/TheAxisX.py",
        "docs/taxes/other.md", "t/a/x.py",
    ]  # fmt: skip
    assert ranking.best(names, "app/inc", 1) == ["app/income_tax.py"]


def test_ranking_fifty_thousand_names_is_quick() -> None:
    index = ranking.Index(f"src/package_{n % 97}/module_{n}/some_file_{n}.py" for n in range(50_000))
    began = time.process_time()
    for query in ("module_77 some", "mod77some", "pack", "e", "smfl", "zzz"):
        assert bool(index.best(query, 10)) == (query != "zzz")
    assert time.process_time() - began < 10
