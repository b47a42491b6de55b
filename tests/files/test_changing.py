"""What lies in a place is changed all or nothing, written down, announced, and never beyond what a caller may touch."""

from __future__ import annotations

import errno
import io
import os
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app import config, db, record
from app.accounts import service as accounts
from app.actor import Actor
from app.errors import Conflict, Denied, Invalid, NoSpace, NotFound, Problem, TooLarge
from app.files import service
from app.files.paths import TEMPORARY
from app.projects import service as projects
from app.projects.service import Place
from tests.conftest import member

OUTSIDE = ["../outside/secret", "/etc/passwd", "out/secret", "leak", "docs/../../outside/secret", "/home/user/../x"]


def deeds() -> list[tuple[str, str]]:
    """The changes of files in the audit log: action and path."""
    with db.read() as connection:
        rows = connection.execute(record.audit_rows.select().order_by(record.audit_rows.c.seq)).all()
    return [(row.action, row.detail["path"]) for row in rows if row.action.startswith("file.")]


def facts() -> list[tuple[str, str]]:
    """What was announced of files: what became of them, and the path."""
    with db.read() as connection:
        rows = connection.execute(record.events.select().order_by(record.events.c.seq)).all()
    return [(row.data["change"], row.data["file"]) for row in rows if row.kind == "files.changed"]


def drafts(directory: Path) -> list[str]:
    return [name for _, folders, files in os.walk(directory) for name in folders + files if name.startswith(TEMPORARY)]


def upload(actor: Actor, place: Place, name: str, data: bytes, **more: Any) -> service.Entry:
    return service.receive(actor, place, name, io.BytesIO(data), len(data), **more)


def test_it_tells_a_link_as_a_link_and_what_is_written_on_it(alice: Actor, here: Place) -> None:
    found = service.stat(alice, here, "near")
    assert (found.is_link, found.target, found.mode >> 12) == (True, "docs/guide.md", 0o12)
    assert service.stat(alice, here, "leak").target == "../outside/secret"
    assert service.stat(alice, here, "~").is_dir


def test_it_lists_folders_before_what_is_in_them_and_no_deeper_than_asked(alice: Actor, here: Place) -> None:
    names = [entry.path for entry in service.list_tree(alice, here, ".", 2)]
    assert names == ["a.txt", "docs", "docs/deep", "docs/guide.md", "gone", "leak", "near", "out"]
    assert [entry.path for entry in service.list_tree(alice, here, "docs", 2)] == ["deep", "deep/note.txt", "guide.md"]
    assert not service.list_tree(alice, here, "docs", 0)
    with pytest.raises(TooLarge):
        service.list_tree(alice, here, ".", 3, limit=4)
    with pytest.raises(Invalid) as refused:
        service.list_tree(alice, here, "a.txt")
    assert refused.value.code == "PATH_NOT_DIRECTORY"


def test_it_makes_folders_and_the_second_time_finds_them(alice: Actor, here: Place) -> None:
    assert service.make_directory(alice, here, "x/y").is_dir
    service.make_directory(alice, here, "x/y")
    for name in ("x/y", "a.txt", "."):
        with pytest.raises(Conflict):
            service.make_directory(alice, here, name, exist_ok=False)
    with pytest.raises(Conflict):
        service.make_directory(alice, here, "a.txt")
    path = f"{here.directory}/x/y"
    assert (deeds(), facts()) == ([("file.mkdir", path)], [("add", path)])


def test_it_removes_a_folder_with_all_in_it_but_not_what_its_links_lead_to(alice: Actor, here: Place) -> None:
    (here.directory / "docs" / "up").symlink_to("../../outside")
    service.remove(alice, here, "docs")
    service.remove(alice, here, "out")
    assert sorted(path.name for path in here.directory.iterdir()) == ["a.txt", "gone", "leak", "near"]
    assert (here.directory.parent / "outside" / "secret").exists()
    with pytest.raises(NotFound):
        service.remove(alice, here, "docs")
    with pytest.raises(Denied):
        service.remove(alice, here, "~")
    assert [change for change, _ in facts()] == ["unlink", "unlink"]


def test_it_moves_in_place_of_a_file_and_into_the_scratch_directory(alice: Actor, here: Place) -> None:
    (here.directory / "b.txt").write_text("other")
    assert service.move(alice, here, "a.txt", "b.txt").size == 6
    assert not (here.directory / "a.txt").exists()
    assert service.move(alice, here, "b.txt", "/tmp/b.txt").name == "b.txt"
    with service.open_for_download(alice, here, "/tmp/b.txt").file as file:
        assert file.read() == b"hello\n"
    with pytest.raises(NotFound):
        service.move(alice, here, "docs", "none/docs")
    with pytest.raises(NotFound):
        service.move(alice, here, "missing", "c")
    with pytest.raises(Invalid):
        service.move(alice, here, "docs", "docs/deep/docs")
    with pytest.raises(Conflict):
        service.move(alice, here, "docs", "near")
    service.move(alice, here, "docs", "none/docs", parents=True)
    top = here.directory
    assert facts()[:3] == [("unlink", f"{top}/a.txt"), ("change", f"{top}/b.txt"), ("unlink", f"{top}/b.txt")]
    assert deeds()[1] == ("file.move", f"{top}/b.txt")


def test_a_file_goes_to_another_disk_too_but_no_folder(
    alice: Actor, here: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(old: str, new: str, *, src_dir_fd: int, dst_dir_fd: int) -> None:
        if not {old[:13], new[:13]} & {TEMPORARY}:
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        rename(old, new, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)

    rename = os.rename
    monkeypatch.setattr(os, "rename", refuse)
    (here.directory / "a.txt").chmod(0o640)
    assert service.move(alice, here, "a.txt", "/tmp/a.txt").mode == 0o100640
    assert not (here.directory / "a.txt").exists()
    with pytest.raises(Invalid, match="another disk"):
        service.move(alice, here, "docs", "/tmp/docs")
    assert (deeds(), drafts(here.directory)) == ([("file.move", f"{here.directory}/a.txt")], [])


def test_a_write_is_refused_if_something_else_lies_there_by_now(alice: Actor, here: Place) -> None:
    seen = service.read(alice, here, "a.txt").stamp
    (here.directory / "a.txt").write_text("theirs\n")
    with pytest.raises(Conflict):
        service.write(alice, here, "a.txt", b"mine\n", expected=seen)
    with pytest.raises(Conflict):
        service.write(alice, here, "a.txt", b"mine\n", expected="")
    with pytest.raises(Conflict):
        service.write(alice, here, "new.txt", b"mine\n", expected=seen)
    assert (here.directory / "a.txt").read_text() == "theirs\n"
    service.write(alice, here, "a.txt", b"mine\n", expected=service.stamp_of(b"theirs\n"))
    service.write(alice, here, "new/one.txt", b"new\n", expected="")
    service.write(alice, here, "new/one.txt", b"newer\n")
    assert (here.directory / "a.txt").read_text() == "mine\n"
    assert [change for change, _ in facts()] == ["change", "add", "change"]


def test_an_upload_takes_its_place_whole_or_not_at_all(alice: Actor, here: Place) -> None:
    assert upload(alice, here, "new/up.bin", b"x" * 3_000_000).size == 3_000_000
    with pytest.raises(Invalid):
        service.receive(alice, here, "a.txt", io.BytesIO(b"half"), 10)

    class Broken:
        def read(self, size: int, /) -> bytes:
            raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        service.receive(alice, here, "a.txt", Broken(), 10)
    assert (here.directory / "a.txt").read_text() == "hello\n"
    assert drafts(here.directory) == []


def test_an_upload_beyond_the_limit_is_refused_at_once_or_as_it_comes(alice: Actor, here: Place) -> None:
    config.use(replace(config.current(), upload_limit=1))
    with pytest.raises(TooLarge):
        service.receive(alice, here, "big", io.BytesIO(b""), (1 << 20) + 1)
    with pytest.raises(TooLarge):
        service.receive(alice, here, "big", io.BytesIO(b"x" * ((1 << 20) + 1)), None)
    assert service.receive(alice, here, "big", io.BytesIO(b"x" * (1 << 20)), None).size == 1 << 20
    assert drafts(here.directory) == []


def test_nothing_comes_in_place_of_something_unless_that_is_said(alice: Actor, here: Place) -> None:
    with pytest.raises(Conflict):
        upload(alice, here, "a.txt", b"", may_empty=False)
    assert upload(alice, here, "fresh", b"", may_empty=False).size == 0
    assert upload(alice, here, "a.txt", b"").size == 0


def test_what_the_disk_cannot_hold_is_refused_before_the_first_byte(alice: Actor, here: Place) -> None:
    disk = os.statvfs(here.directory)
    config.use(replace(config.current(), upload_limit=1 << 40))
    with pytest.raises(NoSpace):
        service.receive(alice, here, "a.txt", io.BytesIO(b"x"), disk.f_bavail * disk.f_frsize * 2)
    assert ((here.directory / "a.txt").read_text(), drafts(here.directory)) == ("hello\n", [])


def test_it_puts_files_together_and_removes_the_pieces(alice: Actor, here: Place) -> None:
    upload(alice, here, "p1", b"one ")
    upload(alice, here, "p2", b"two")
    with pytest.raises(NotFound):
        service.compose(alice, here, ["p1", "missing"], "whole")
    assert (here.directory / "p1").exists()
    assert not (here.directory / "whole").exists()
    assert service.compose(alice, here, ["p1", "p2", "p1"], "p1").size == 11
    assert (here.directory / "p1").read_text() == "one twoone "
    assert not (here.directory / "p2").exists()


@pytest.mark.parametrize("name", OUTSIDE)
def test_nothing_outside_is_told_read_or_changed(alice: Actor, here: Place, name: str) -> None:
    secret = here.directory.parent / "outside" / "secret"
    verbs = [
        lambda: service.open_for_download(alice, here, name),
        lambda: service.list_tree(alice, here, name),
        lambda: service.make_directory(alice, here, f"{name}/x"),
        lambda: service.write(alice, here, name, b"!"),
        lambda: upload(alice, here, name, b"!"),
        lambda: service.move(alice, here, "a.txt", f"{name}/x"),
        lambda: service.compose(alice, here, ["a.txt"], f"{name}/x"),
        lambda: service.zip_of(alice, here, name),
    ]
    for verb in verbs:
        with pytest.raises(Problem) as refused:
            verb()
        assert refused.value.status in (400, 403, 404)
    assert secret.read_text() == "root:x:0:0\n"


@pytest.mark.parametrize("name", [".git/hooks/post-commit", "sub/.git", ".GIT/config", "docs/.git/x"])
def test_nobody_writes_into_what_is_gits(alice: Actor, here: Place, name: str) -> None:
    (here.directory / "docs" / ".git").mkdir()
    for verb in (
        lambda: service.make_directory(alice, here, name),
        lambda: service.write(alice, here, name, b"!"),
        lambda: upload(alice, here, name, b"!"),
        lambda: service.move(alice, here, "a.txt", name),
        lambda: service.move(alice, here, name, "elsewhere"),
        lambda: service.compose(alice, here, ["a.txt"], name),
        lambda: service.remove(alice, here, name),
    ):
        with pytest.raises(Denied, match="belongs to git"):
            verb()
    assert deeds() == []


def test_the_servers_own_data_is_neither_told_nor_touched(alice: Actor, tmp_path: Path) -> None:
    home = tmp_path / "holder"
    (home / "inner" / "var").mkdir(parents=True)
    (home / "inner" / "var" / "master.key").write_text("needle key\n")
    (home / "way").symlink_to("inner/var")
    project = projects.add(alice, str(home))
    config.use(replace(config.current(), data_dir=home / "inner" / "var"))
    place = Place(project, home, home)
    for name in ("inner/var/master.key", "way/master.key"):
        for verb in (service.stat, service.open_for_download, service.remove):
            with pytest.raises(Denied):
                verb(alice, place, name)
    for name in ("inner", "inner/var"):
        with pytest.raises(Denied):
            service.remove(alice, place, name)
        with pytest.raises(Denied):
            service.move(alice, place, name, "x")
    assert [entry.path for entry in service.list_tree(alice, place, ".", 5)] == ["inner", "way"]
    packed = b"".join(service.zip_of(alice, place, ".").chunks)
    assert zipfile.ZipFile(io.BytesIO(packed)).namelist() == ["holder/inner/"]


def test_a_zip_holds_what_lies_inside_and_nothing_that_links_lead_out_to(alice: Actor, here: Place) -> None:
    (here.directory / "empty").mkdir()
    packed = service.zip_of(alice, here, "~")
    archive = zipfile.ZipFile(io.BytesIO(b"".join(packed.chunks)))
    assert archive.testzip() is None
    assert packed.name == "depot"
    assert archive.namelist() == [
        "depot/a.txt", "depot/docs/", "depot/docs/deep/", "depot/docs/deep/note.txt", "depot/docs/guide.md",
        "depot/empty/", "depot/near",
    ]  # fmt: skip
    assert archive.read("depot/near") == b"# Guide\n"
    assert zipfile.ZipFile(io.BytesIO(b"".join(service.zip_of(alice, here, "docs/deep").chunks))).namelist() == [
        "deep/note.txt"
    ]


def test_another_registered_root_goes_by_its_absolute_path(alice: Actor, here: Place, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    with pytest.raises(NotFound):
        service.stat(alice, here, str(other))
    projects.add(alice, str(other))
    service.write(alice, here, f"{other}/x.txt", b"x")
    assert [entry.name for entry in service.list_tree(alice, here, str(other))] == ["x.txt"]
    service.move(alice, here, f"{other}/x.txt", "x.txt")
    assert (here.directory / "x.txt").read_bytes() == b"x"


def test_scratch_belongs_to_the_workspace_and_is_announced_to_nobody(alice: Actor, here: Place) -> None:
    upload(alice, here, "/tmp/a/b.txt", b"scratch")
    assert [entry.path for entry in service.list_tree(alice, here, "/tmp", 2)] == ["a", "a/b.txt"]
    assert (deeds(), facts()) == ([("file.write", "/tmp/a/b.txt")], [])
    packed = service.zip_of(alice, here, "/tmp")
    assert zipfile.ZipFile(io.BytesIO(b"".join(packed.chunks))).namelist() == ["tmp/a/", "tmp/a/b.txt"]
    with pytest.raises(Denied):
        service.stat(alice, here, "/tmp/../home")


def test_a_stranger_learns_nothing_and_a_viewer_changes_nothing(alice: Actor, charlie: Actor, here: Place) -> None:
    viewer = member(alice, "Vera", "viewer")
    assert service.stat(viewer, here, "a.txt").size == 6
    with pytest.raises(Denied):
        service.write(viewer, here, "a.txt", b"!")
    for name in ("a.txt", "missing"):
        with pytest.raises(NotFound) as refused:
            service.stat(charlie, here, name)
        assert refused.value.kind == "project"


@pytest.fixture
def refusing(here: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """An audit log that takes nothing."""

    def refuse(*_given: object) -> None:
        raise Conflict("no row")

    monkeypatch.setattr(record, "audit", refuse)


@pytest.mark.usefixtures("refusing")
def test_a_deed_that_cannot_be_written_down_is_not_done(alice: Actor, here: Place) -> None:
    for verb in (
        lambda: service.write(alice, here, "b.txt", b"!"),
        lambda: service.remove(alice, here, "a.txt"),
        lambda: service.move(alice, here, "a.txt", "c.txt"),
    ):
        with pytest.raises(Conflict, match="no row"):
            verb()
    assert facts() == []
    assert sorted(path.name for path in here.directory.iterdir()) == ["a.txt", "docs", "gone", "leak", "near", "out"]


class TestOnBothEngines:
    @pytest.fixture
    def alice(self, either_database: db.Database, tmp_path: Path) -> Actor:
        config.use(replace(config.current(), data_dir=tmp_path / "data"))
        return accounts.local_owner()

    def test_each_change_is_written_down_and_announced(self, alice: Actor, here: Place) -> None:
        service.make_directory(alice, here, "new")
        upload(alice, here, "new/one", b"1")
        service.write(alice, here, "new/two", b"2", expected="")
        service.compose(alice, here, ["new/one", "new/two"], "new/both")
        service.move(alice, here, "new/both", "whole")
        service.remove(alice, here, "new")
        top = here.directory
        assert deeds() == [
            ("file.mkdir", f"{top}/new"),
            ("file.write", f"{top}/new/one"),
            ("file.write", f"{top}/new/two"),
            ("file.compose", f"{top}/new/both"),
            ("file.remove", f"{top}/new/one"),
            ("file.remove", f"{top}/new/two"),
            ("file.move", f"{top}/new/both"),
            ("file.remove", f"{top}/new"),
        ]
        assert facts()[-3:] == [("unlink", f"{top}/new/both"), ("add", f"{top}/whole"), ("unlink", f"{top}/new")]
