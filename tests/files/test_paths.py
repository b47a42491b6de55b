"""Whatever name is asked for, nothing outside the root is read, listed, written or waited for."""

from __future__ import annotations

import ctypes
import errno
import itertools
import os
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.errors import Conflict, Denied, Invalid, NoSpace, NotFound, Problem, TooLarge
from app.files import beneath, paths
from app.files.paths import Root, inside

SECRET = b"root:x:0:0"
READS = 2_000
REPOSITORY = Path(__file__).parents[2]

TRAVERSAL = [
    "../secret", "../../etc/passwd", "..", "sub/../../secret", "./../secret", "sub/./../../secret",
    "/etc/passwd", "//etc/passwd", "/", "/proc/self/environ", "/home/user/../../etc/passwd", "/home/userx/a",
    "~root/.ssh/id_rsa", "~/../secret", "~bob", "..\\secret", "C:\\Windows\\win.ini", "C:/Windows/win.ini",
    "file:///etc/passwd", "http://127.0.0.1/", "a\0b", "a\nb", "a\x1b[2Jb", "a\x9bb", "%2e%2e%2fsecret",
    "..%2fsecret", "..%252fsecret", "....//secret", "x" * 5000, "x" * 300, "out/secret", "out", "abs/secret",
    "leak", "loop", "chain/secret", "magic/root/etc/passwd", "bad\udc80name",
]  # fmt: skip


@pytest.fixture(params=["openat2", "walk"])
def walk(request: pytest.FixtureRequest) -> bool:
    assert beneath.kernel_resolves() or sys.platform != "linux"
    return bool(request.param == "walk")


@pytest.fixture
def root(tmp_path: Path, walk: bool) -> Root:
    """A workspace beside a folder of secrets, with every kind of link out of it."""
    outside, inner = tmp_path / "outside", tmp_path / "work"
    (inner / "sub").mkdir(parents=True)
    outside.mkdir()
    (outside / "secret").write_bytes(SECRET)
    (tmp_path / "secret").write_bytes(SECRET)
    (inner / "sub" / "note.txt").write_text("hello\n")
    for link, target in {
        "out": "../outside", "abs": str(outside), "leak": "../secret", "loop": "loop", "chain": "sub/up",
        "sub/up": "../../outside", "magic": "/proc/self", "near": "sub", "sub/back": "../near/note.txt",
        "gone": "nowhere", "self": str(inner / "sub"),
    }.items():  # fmt: skip
        (inner / link).symlink_to(target)
    return Root(inner, walk=walk)


@pytest.fixture
def outside(root: Root) -> Iterator[Path]:
    """The folder of secrets; it must look the same after the test."""
    folder = Path(root.path).parent / "outside"
    before = sorted(folder.iterdir()), (folder / "secret").read_bytes()
    yield folder
    assert (sorted(folder.iterdir()), (folder / "secret").read_bytes()) == before


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def dig(pit: Path, outside: Path) -> None:
    """Make folders in each other, more than Python may call itself and more than a path can name."""
    pit.mkdir()
    fd = os.open(pit, os.O_RDONLY)
    for _ in range(2_100):
        os.symlink(outside, "link", dir_fd=fd)
        os.mkdir("d", dir_fd=fd)
        above, fd = fd, os.open("d", os.O_RDONLY, dir_fd=fd)
        os.close(above)
    os.close(fd)


VERBS: dict[str, Callable[[Root, str], object]] = {
    "read": lambda root, name: root.read_bytes(name),
    "scan": lambda root, name: root.scan(name),
    "stat": lambda root, name: root.stat(name),
    "write": lambda root, name: root.write_bytes(name, b"owned"),
    "remove": lambda root, name: root.remove(name + "/secret", recursive=True),
    "mkdir": lambda root, name: root.mkdir(name + "/new"),
    "move": lambda root, name: root.move("sub/note.txt", name + "/taken"),
}
HARMLESS_WRITES = {"%2e%2e%2fsecret", "..%2fsecret", "..%252fsecret", "....//secret"}  # plain, if odd, names


@pytest.mark.parametrize("name", TRAVERSAL, ids=lambda name: ascii(name[:30]))
@pytest.mark.parametrize("verb", VERBS)
def test_it_refuses_a_name_that_leads_out(root: Root, outside: Path, verb: str, name: str) -> None:
    started = time.monotonic()
    if verb in ("write", "mkdir", "move") and name in HARMLESS_WRITES:
        VERBS[verb](root, name)
    else:
        with pytest.raises(Problem) as told:
            VERBS[verb](root, name)
        assert told.value.status in (400, 403, 404)
        assert str(outside.parent) not in told.value.message
    assert time.monotonic() - started < 10
    assert (outside.parent / "secret").read_bytes() == SECRET


@pytest.mark.parametrize(
    ("name", "problem"),
    [("../secret", Denied), ("out/secret", Denied), ("abs/secret", Denied), ("/etc/passwd", Denied),
     ("a\0b", Invalid), ("~root", Invalid), ("file:///etc/passwd", Invalid), ("x" * 5000, Invalid),
     ("sub/nothing", NotFound), ("sub/note.txt/x", NotFound), ("gone", NotFound), ("sub", Invalid)],
    ids=lambda value: ascii(str(value)[:20]),
)  # fmt: skip
def test_it_says_what_is_wrong(root: Root, name: str, problem: type[Problem]) -> None:
    with pytest.raises(problem):
        root.read_bytes(name)


@pytest.mark.parametrize(
    "name",
    ["sub/note.txt", "./sub//note.txt", "sub/../sub/note.txt", "~/sub/note.txt", "/home/user/sub/note.txt",
     "near/note.txt", "sub/back"],
)  # fmt: skip
def test_it_reads_by_every_spelling_of_the_workspace(root: Root, name: str) -> None:
    assert root.read_text(name) == "hello\n"


def test_it_takes_absolute_names_beneath_the_root(root: Root) -> None:
    assert root.read_text(f"{root.path}/sub/note.txt") == "hello\n"
    assert root.relative(f"{root.path}/sub/") == "sub"
    assert root.relative(root.path) == root.relative("~") == root.relative("/home/user") == ""
    assert root.absolute("sub") == f"{root.path}/sub"
    with pytest.raises(Denied):
        root.relative(root.path + "-other/x")


def test_a_root_behind_a_link_takes_both_its_paths(root: Root, tmp_path: Path, walk: bool) -> None:
    (tmp_path / "door").symlink_to("work")
    door = Root(tmp_path / "door", walk=walk)
    assert door.read_text(f"{tmp_path}/door/sub/note.txt") == door.read_text(f"{root.path}/sub/note.txt")


def test_inside_knows_names_that_do_not_exist_yet(root: Root) -> None:
    assert inside(root, "new/thing.py")
    assert inside(root, "~/sub")
    assert not inside(root, "out/new.py")
    assert not inside(root, "/etc/passwd")


def test_it_lists_links_without_following_them_out(root: Root) -> None:
    found = {entry.name: entry for entry in root.scan()}
    assert [entry.name for entry in root.scan()] == sorted(found)
    kinds = {name: (found[name].is_link, found[name].is_dir) for name in ("near", "out", "sub")}
    assert kinds == {"near": (True, True), "out": (True, False), "sub": (False, True)}
    assert root.scan("near")[-1].path == "near/up"
    assert root.readlink("near") == "sub"
    assert root.lstat("leak").is_link


def test_it_lists_names_that_are_not_unicode(root: Root) -> None:
    if sys.platform == "darwin":
        pytest.skip("the file system refuses such names itself")
    Path(os.fsdecode(os.fsencode(root.path) + b"/sub/\xff.txt")).touch()
    assert "?.txt" in [entry.name for entry in root.scan("sub")]


def test_stat_tells_size_time_and_mode(root: Root) -> None:
    path = Path(root.path, "sub/note.txt")
    path.chmod(0o640)
    os.utime(path, ns=(0, 1_700_000_000_123_000_000))
    entry = root.stat("near/note.txt")
    assert (entry.name, entry.path, entry.size) == ("note.txt", "near/note.txt", 6)
    assert entry.mtime == 1_700_000_000_123
    assert stat.S_IMODE(entry.mode) == 0o640
    assert root.stat("").is_dir
    assert (root.exists("sub"), root.exists("sub/none")) == (True, False)


@pytest.mark.parametrize("kind", ["fifo", "socket", "device"])
def test_it_never_waits_for_a_special_file(root: Root, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"{root.path}/odd"
    if kind == "fifo":
        os.mkfifo(name)
    elif kind == "device":
        try:
            os.mknod(name, stat.S_IFCHR | 0o600, os.makedev(1, 5))
        except PermissionError:  # only root makes devices; a fifo proves the same rule
            os.mkfifo(name)
    else:
        with socket.socket(socket.AF_UNIX) as listener:
            monkeypatch.chdir(root.path)  # socket paths are short
            listener.bind("odd")
    started = time.monotonic()
    for refused in (root.read_bytes, lambda name: root.write_bytes(name, b"x")):
        with pytest.raises(Invalid):
            refused("odd")
    assert root.stat("odd").size == 0
    assert time.monotonic() - started < 10


def test_it_refuses_what_is_too_large(root: Root) -> None:
    assert root.read_bytes("sub/note.txt", 6) == b"hello\n"
    with pytest.raises(TooLarge):
        root.read_bytes("sub/note.txt", 5)


@pytest.mark.parametrize("data", [b"a\0b", b"\xff\xfe"])
def test_it_calls_binary_what_is_binary(root: Root, data: bytes) -> None:
    root.write_bytes("blob", data)
    with pytest.raises(Invalid):
        root.read_text("blob")


def test_a_write_makes_folders_and_keeps_the_mode(root: Root) -> None:
    assert root.write_bytes("deep/er/run.sh", [b"#!/bin/sh\n", b"true\n"], mode=0o750) == 15
    root.write_bytes("deep/er/run.sh", b"#!/bin/sh\n")
    path = Path(root.path, "deep/er/run.sh")
    assert path.read_bytes() == b"#!/bin/sh\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o750
    assert _names(path.parent) == ["run.sh"]


@pytest.mark.parametrize(
    "name", ["near/new.txt", "near/deep/new.txt", "sub/back", "leak", "gone", "loop", "out/x"]
)  # fmt: skip
def test_a_write_follows_no_link(root: Root, outside: Path, name: str) -> None:
    with pytest.raises(Denied):
        root.write_bytes(name, b"owned")
    assert not Path(root.path, "nowhere").exists()


def test_a_failed_write_leaves_the_old_file_alone(root: Root) -> None:
    def half() -> Iterator[bytes]:
        yield b"half" * 100_000
        assert len(_names(Path(root.path, "sub"))) == 4
        assert [entry.name for entry in root.scan("sub")] == ["back", "note.txt", "up"]
        raise RuntimeError("the sender went away")

    with pytest.raises(RuntimeError):
        root.write_bytes("sub/note.txt", half())
    assert root.read_text("sub/note.txt") == "hello\n"
    assert _names(Path(root.path, "sub")) == ["back", "note.txt", "up"]


FULL_DISK = """
import resource, sys
from app.errors import NoSpace
from app.files.paths import Root
root = Root(sys.argv[1], walk=sys.argv[2] == "True")
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
for name in ("sub/note.txt", "sub/fresh/big.bin"):
    try:
        root.write_bytes(name, b"x" * 100_000)
    except NoSpace as told:
        print(told.status)
"""


def test_a_full_disk_leaves_nothing_half_written(root: Root, walk: bool) -> None:
    code = [sys.executable, "-c", FULL_DISK, root.path, str(walk)]
    done = subprocess.run(code, capture_output=True, text=True, timeout=30, check=True, cwd=REPOSITORY)
    assert (done.stdout.split(), done.stderr) == (["507", "507"], "")
    assert root.read_text("sub/note.txt") == "hello\n"
    assert root.scan("sub/fresh") == []
    assert not any(name.startswith(paths.TEMPORARY) for name in _names(Path(root.path, "sub")))


@pytest.mark.skipif(not os.access("/dev/full", os.W_OK), reason="no /dev/full on this system")
def test_enospc_is_no_space() -> None:
    with pytest.raises(NoSpace), paths.told("x"), Path("/dev/full").open("wb", buffering=0) as full:
        full.write(b"x")


def test_it_removes_links_and_not_what_they_lead_to(root: Root, outside: Path) -> None:
    for name in ("out", "leak", "near", "gone"):
        root.remove(name, recursive=True)
        assert name not in _names(Path(root.path))
    assert root.read_text("sub/note.txt") == "hello\n"
    with pytest.raises(Conflict):
        root.remove("sub")
    root.remove("sub", recursive=True)
    assert not root.exists("sub")


@pytest.mark.parametrize("verb", [lambda root: root.remove("pit", recursive=True), lambda root: root.discard("pit")])
def test_it_removes_a_folder_however_deep_it_is(root: Root, outside: Path, verb: Callable[[Root], None]) -> None:
    before = _names(Path(root.path))
    dig(Path(root.path, "pit"), outside)
    verb(root)
    assert _names(Path(root.path)) == before


@pytest.mark.parametrize("name", ["", ".", "~", "/home/user", "sub/.."])
def test_the_root_itself_stays(root: Root, name: str) -> None:
    for refused in (root.remove, lambda name: root.move(name, "x"), lambda name: root.write_bytes(name, b"")):
        with pytest.raises(Denied):
            refused(name)


def test_it_makes_folders_once(root: Root) -> None:
    assert root.mkdir("a/b/c") is True
    assert root.mkdir("a/b/c") is False
    with pytest.raises(Conflict):
        root.mkdir("a/b/c", exist_ok=False)
    with pytest.raises(NotFound):
        root.mkdir("sub/note.txt")


def test_it_moves_within_the_root(root: Root) -> None:
    root.move("sub/note.txt", "new/place.txt")
    assert root.read_text("new/place.txt") == "hello\n"
    assert not root.exists("sub/note.txt")
    with pytest.raises(NotFound):
        root.move("sub/note.txt", "x")


def test_a_missing_root_is_not_found(tmp_path: Path, walk: bool) -> None:
    with pytest.raises(NotFound):
        Root(tmp_path / "none", walk=walk).scan()


def test_no_descriptor_is_left_open(root: Root) -> None:
    if not Path("/dev/fd").is_dir():
        pytest.skip("no /dev/fd on this system")
    before = len(_names(Path("/dev/fd")))
    for verb, name in itertools.product(VERBS, [*TRAVERSAL, "sub/note.txt", "near", "new/a"]):
        try:
            VERBS[verb](root, name)
        except Problem:
            continue
    assert len(_names(Path("/dev/fd"))) == before


# Races


def _swap(one: str, other: str) -> None:
    """Exchange two names in one step (renameat2 RENAME_EXCHANGE), so that the name is never missing."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.renameat2(-100, os.fsencode(one), -100, os.fsencode(other), 2):
        raise OSError(ctypes.get_errno(), "renameat2")


@pytest.fixture
def flipping(root: Root) -> Iterator[list[int]]:
    """`flip` turns from a folder into a link to the secrets and back, fast; counts its turns."""
    work = Path(root.path)
    (work / "flip").mkdir()
    (work / "flip" / "secret").write_bytes(b"mine")
    (work / "other").symlink_to("../outside")
    turns, done = [0], threading.Event()

    def flip() -> None:
        while not done.is_set():
            _swap(str(work / "flip"), str(work / "other"))
            turns[0] += 1

    racer = threading.Thread(target=flip)
    racer.start()
    yield turns
    done.set()
    racer.join()


def _until_flipped(turns: list[int], wanted: int) -> Iterator[int]:
    """Count at least READS tries and go on until the racer had its turns, for half a minute at most."""
    deadline = time.monotonic() + 30
    for count in itertools.count():
        if count >= READS and turns[0] >= wanted:
            return
        assert time.monotonic() < deadline, f"only {count} tries against {turns[0]} turns"
        yield count


@pytest.mark.skipif(sys.platform != "linux", reason="the racer needs renameat2")
def test_a_racing_link_leaks_nothing(root: Root, outside: Path, flipping: list[int]) -> None:
    seen = {b"mine": 0, SECRET: 0, b"refused": 0}
    for _ in _until_flipped(flipping, READS):
        try:
            seen[root.read_bytes("flip/secret")] += 1
        except (Denied, NotFound):
            seen[b"refused"] += 1
    assert seen[SECRET] == 0
    assert min(seen[b"mine"], seen[b"refused"]) > 0


@pytest.mark.skipif(sys.platform != "linux", reason="the racer needs renameat2")
def test_a_racing_link_takes_no_write_outside(root: Root, outside: Path, flipping: list[int]) -> None:
    done = {True: 0, False: 0}
    for count in _until_flipped(flipping, READS):
        try:
            root.write_bytes(f"flip/made/{count % 50}", b"owned")
            root.remove(f"flip/made/{count % 50}")
            done[True] += 1
        except (Denied, NotFound):
            done[False] += 1
    assert min(done.values()) > 0


@pytest.mark.skipif(sys.platform != "linux", reason="the racer needs renameat2")
def test_a_racing_link_lists_nothing_outside(root: Root, outside: Path, flipping: list[int]) -> None:
    for _ in _until_flipped(flipping, READS // 4):
        try:
            sizes = [entry.size for entry in root.scan("flip")]
        except (Denied, NotFound):
            continue
        assert sizes == [len(b"mine")]


def test_swap_puts_one_content_in_the_place_of_another(tmp_path: Path, walk: bool) -> None:
    root = Root(tmp_path, walk=walk)
    root.swap("a/b", None, b"one")
    (tmp_path / "a/b").chmod(0o640)
    root.swap("a/b", b"one", b"two")
    assert (tmp_path / "a/b").read_bytes() == b"two"
    assert (tmp_path / "a/b").stat().st_mode & 0o777 == 0o640
    root.swap("a/b", b"two", None)
    assert list((tmp_path / "a").iterdir()) == []


@pytest.mark.parametrize(
    ("there", "before", "after"),
    [
        (b"theirs", b"mine", b"new"),
        (b"mine and more", b"mine", b"new"),
        (b"", b"mine", b"new"),
        (None, b"mine", b"new"),
        (b"theirs", None, b"new"),
        (b"", None, b"new"),
        (b"theirs", b"mine", None),
    ],
)
def test_swap_leaves_what_it_was_not_told_of(
    tmp_path: Path, there: bytes | None, before: bytes | None, after: bytes | None
) -> None:
    if there is not None:
        (tmp_path / "a").write_bytes(there)
    with pytest.raises(Conflict):
        Root(tmp_path).swap("a", before, after)
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == (
        [("a", there)] if there is not None else []
    )


def test_swap_makes_a_file_where_there_are_no_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_given: object, **_more: object) -> None:
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    Root(tmp_path).swap("a", None, b"one")
    with pytest.raises(Conflict):
        Root(tmp_path).swap("a", None, b"two")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("a", b"one")]


def test_swap_refuses_links_and_folders(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "folder").mkdir()
    for name in ("link", "folder"):
        for after in (b"y", None):
            with pytest.raises(Problem):
                Root(tmp_path).swap(name, b"x", after)
    assert (tmp_path / "file").read_bytes() == b"x"
