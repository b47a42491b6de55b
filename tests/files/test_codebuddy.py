"""CodeBuddy's file routes: the shapes that the real server answered, and the same walls as everywhere."""

from __future__ import annotations

import io
import json
import os
import zipfile
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from app.accounts import service as accounts
from app.actor import Actor
from app.dialects.mount import Cabin
from app.files import service
from tests.conftest import Caller
from tests.visitor import Browser

SECRET = "root:x:0:0"
TRAVERSAL = [
    "../outside/secret", "../../etc/passwd", "docs/../../outside/secret", "./../outside/secret", "/etc/passwd",
    "//etc/passwd", "/proc/self/environ", "/home/user/../../etc/passwd", "~root/.ssh/id_rsa", "~/../outside/secret",
    "..\\outside\\secret", "C:\\Windows\\win.ini", "file:///etc/passwd", "a\0b", "a\x1b[2Jb", "%2e%2e%2foutside",
    "..%252foutside%252fsecret", "x" * 5000, "out/secret", "leak", "/tmp/../etc/passwd", "/home/userx/a",
    "bad\udc80name",
]  # fmt: skip
DOORS = ["stat", "list", "mkdir", "remove", "move to", "move from", "download", "upload", "compose to", "compose from"]


def fs(call: Caller, verb: str, **body: Any) -> Any:
    return call.post(f"/api/v1/fs/{verb}", body)


def put(call: Caller, path: str, data: bytes, kind: str = "application/octet-stream", query: str = "") -> Any:
    address = f"/api/v1/files/upload?path={quote(path, safe='')}{query}"
    return call.post(address, data=data, headers={"Content-Type": kind})


def get(call: Caller, path: str, **headers: str) -> Any:
    return call.get(f"/api/v1/files/download?path={quote(path, safe='')}", headers=headers)


def error(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json["error"]["code"]


class TestShapes:
    """As recorded on the real server."""

    def test_a_file_is_told_with_its_whole_mode_and_the_path_as_it_was_given(self, call: Caller, work: Path) -> None:
        (work / "a.txt").chmod(0o644)
        for path in ("a.txt", str(work / "a.txt"), "~/a.txt", "/home/user/a.txt"):
            told = fs(call, "stat", path=path).json
            found = (work / "a.txt").stat()
            entry = told["data"]["entry"]
            assert entry.pop("modifiedTime").endswith("Z")
            assert told == {
                "data": {
                    "entry": {
                        "name": "a.txt",
                        "type": "file",
                        "path": path,
                        "size": 6,
                        "mode": 33188,
                        "permissions": "rw-r--r--",
                        "owner": str(found.st_uid),
                        "group": str(found.st_gid),
                    }
                }
            }

    def test_the_time_of_the_last_change_has_milliseconds(self, call: Caller, work: Path) -> None:
        os.utime(work / "a.txt", ns=(0, 1_795_000_307_045_999_999))
        assert fs(call, "stat", path="a.txt").json["data"]["entry"]["modifiedTime"] == "2026-11-18T11:11:47.045Z"
        os.utime(work / "a.txt", ns=(0, -1_000_000))
        assert fs(call, "stat", path="a.txt").json["data"]["entry"]["modifiedTime"] == "1969-12-31T23:59:59.999Z"

    def test_a_link_is_told_with_what_is_written_on_it(self, call: Caller, work: Path) -> None:
        entry = fs(call, "stat", path="near").json["data"]["entry"]
        assert (entry["type"], entry["mode"], entry["permissions"]) == ("symlink", 41471, "rwxrwxrwx")
        assert entry["symlinkTarget"] == "docs/guide.md"
        assert fs(call, "stat", path="gone").json["data"]["entry"]["symlinkTarget"] == "nowhere"

    def test_a_listing_goes_as_deep_as_asked_under_the_path_as_given(self, call: Caller, work: Path) -> None:
        def paths(path: str, **more: Any) -> list[str]:
            return [entry["path"] for entry in fs(call, "list", path=path, **more).json["data"]["entries"]]

        assert paths("docs") == ["docs/deep", "docs/guide.md"]
        assert paths("./docs/", depth=2) == ["docs/deep", "docs/deep/note.txt", "docs/guide.md"]
        assert paths(".") == ["a.txt", "docs", "gone", "leak", "near", "out"]
        assert paths("~/docs/deep") == ["~/docs/deep/note.txt"]
        assert paths(str(work / "docs" / "deep")) == [f"{work}/docs/deep/note.txt"]
        assert paths("docs", depth=0) == paths("docs", depth=-1) == []

    def test_a_listing_is_refused_for_what_is_no_folder(self, call: Caller, work: Path) -> None:
        assert error(fs(call, "list", path="a.txt")) == (400, "PATH_NOT_DIRECTORY")
        assert error(fs(call, "list", path="none")) == (404, "NOT_FOUND")

    def test_a_folder_is_made_with_those_on_the_way_and_may_exist(self, call: Caller, work: Path) -> None:
        for _ in range(2):
            entry = fs(call, "mkdir", path="x/y").json["data"]["entry"]
            assert (entry["name"], entry["type"], entry["path"]) == ("y", "directory", "x/y")
        assert error(fs(call, "mkdir", path="a.txt")) == (409, "BAD_REQUEST")

    def test_removing_takes_all_below_and_what_is_missing_is_fine(self, call: Caller, work: Path) -> None:
        for path in ("docs", "docs", "none/at/all"):
            answer = fs(call, "remove", path=path)
            assert (answer.status_code, answer.json) == (200, {"data": {}})
        assert not (work / "docs").exists()

    def test_moving_takes_the_place_of_a_file(self, call: Caller, work: Path) -> None:
        (work / "b.txt").write_text("b")
        entry = fs(call, "move", source="a.txt", destination="b.txt").json["data"]["entry"]
        assert (entry["path"], entry["size"]) == ("b.txt", 6)
        assert error(fs(call, "move", source="a.txt", destination="c.txt")) == (404, "NOT_FOUND")
        assert error(fs(call, "move", source="b.txt", destination="none/c.txt")) == (404, "NOT_FOUND")
        assert error(fs(call, "move", source="b.txt")) == (400, "BAD_REQUEST")
        assert error(fs(call, "move", source="docs", destination="docs/x")) == (400, "BAD_REQUEST")

    def test_a_path_is_asked_for_where_it_is_missing(self, call: Caller, work: Path) -> None:
        for verb in ("stat", "list", "mkdir", "remove"):
            assert error(fs(call, verb)) == error(fs(call, verb, path="")) == (400, "PATH_REQUIRED")
            assert error(fs(call, verb, path=5)) == (400, "BAD_REQUEST")
        assert error(call.get("/api/v1/files/download")) == (400, "PATH_REQUIRED")
        assert error(call.post("/api/v1/files/upload", data=b"x")) == (400, "PATH_REQUIRED")

    def test_files_are_put_together_by_their_camel_cased_names(self, call: Caller, work: Path) -> None:
        (work / "p1").write_text("one ")
        (work / "p2").write_text("two")
        wrong = call.post("/api/v1/files/compose", {"source_paths": ["p1"], "destination": "w"})
        assert error(wrong) == error(call.post("/api/v1/files/compose", {})) == (400, "BAD_REQUEST")
        body = {"sourcePaths": ["p1", "p2"], "destination": "new/whole"}
        assert call.post("/api/v1/files/compose", body).json["data"]["entry"]["size"] == 7
        assert ((work / "new/whole").read_text(), (work / "p1").exists()) == ("one two", False)
        assert error(call.post("/api/v1/files/compose", body)) == (404, "NOT_FOUND")


class TestUpload:
    """A body of any type is the content; a form is read."""

    @pytest.mark.parametrize("kind", ["application/octet-stream", "text/plain", "application/json", "image/png"])
    def test_the_body_is_the_content_whatever_its_type(self, call: Caller, work: Path, kind: str) -> None:
        told = put(call, "new/dir/up.txt", b'{"a":1}', kind).json["data"]
        assert [(entry["path"], entry["size"]) for entry in told["entries"]] == [("new/dir/up.txt", 7)]
        assert (work / "new/dir/up.txt").read_bytes() == b'{"a":1}'

    def test_a_form_gives_the_part_called_file(self, call: Caller, work: Path) -> None:
        content = os.urandom(300_000) + b"\r\n--boundary-like\r\n"
        form = {"note": "first", "file": (io.BytesIO(content), "other-name.bin")}
        answer = call.post("/api/v1/files/upload?path=mp.bin", data=form, content_type="multipart/form-data")
        assert answer.json["data"]["entries"][0]["path"] == "mp.bin"
        assert (work / "mp.bin").read_bytes() == content

    def test_a_form_without_that_part_or_without_an_end_writes_nothing(self, call: Caller, work: Path) -> None:
        form = {"files": (io.BytesIO(b"x"), "x")}
        answer = call.post("/api/v1/files/upload?path=mp.bin", data=form, content_type="multipart/form-data")
        assert error(answer) == (400, "BAD_REQUEST")
        head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\n'
        for body, kind in (
            (head + b"half", "multipart/form-data; boundary=b"),
            (b"", "multipart/form-data; boundary=b"),
            (head, "multipart/form-data"),
            (b"--b\r\nno header", "multipart/form-data; boundary=b"),
            (
                b'--b\r\nContent-Disposition: form-data; name="\xff"\r\n\r\nx\r\n--b--',
                "multipart/form-data; boundary=b",
            ),
        ):
            assert error(put(call, "mp.bin", body, kind)) == (400, "BAD_REQUEST")
        assert sorted(path.name for path in work.iterdir()) == ["a.txt", "docs", "gone", "leak", "near", "out"]

    def test_a_parts_header_without_an_end_is_refused_before_it_fills_the_memory(
        self, call: Caller, work: Path
    ) -> None:
        body = b"--b\r\nX: " + b"x" * 3_000_000
        assert put(call, "mp.bin", body, "multipart/form-data; boundary=b").status_code == 413

    def test_nothing_comes_in_place_of_something_unless_that_is_said(self, call: Caller, work: Path) -> None:
        assert error(put(call, "a.txt", b"")) == (409, "BAD_REQUEST")
        assert (work / "a.txt").read_text() == "hello\n"
        assert put(call, "a.txt", b"", query="&allowEmpty=1").status_code == 200
        assert put(call, "fresh", b"").json["data"]["entries"][0]["size"] == 0

    def test_a_folder_is_no_place_for_a_body(self, call: Caller, work: Path) -> None:
        assert error(put(call, "docs", b"x")) == (400, "BAD_REQUEST")
        assert error(put(call, "near", b"x")) == (403, "FORBIDDEN")

    def test_what_the_disk_cannot_hold_is_told_so(
        self, call: Caller, work: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        full = os.statvfs_result((4096, 4096, 10, 0, 0, 10, 10, 10, 0, 255))
        monkeypatch.setattr(os, "fstatvfs", lambda _fd: full)
        assert error(put(call, "a.txt", b"x")) == (507, "INSUFFICIENT_STORAGE")
        assert (work / "a.txt").read_text() == "hello\n"


class TestDownload:
    """Bytes, ranges and what a browser may do with them."""

    @pytest.mark.parametrize(
        ("name", "kind"),
        [
            ("a.txt", "text/plain; charset=utf-8"),
            ("a.json", "application/json"),
            ("a.PNG", "image/png"),
            ("a", "application/octet-stream"),
            ("a.html", "application/octet-stream"),
            ("a.svg", "application/octet-stream"),
            ("a.xhtml", "application/octet-stream"),
            ("a.js", "application/octet-stream"),
        ],
    )
    def test_no_browser_runs_what_is_sent(self, call: Caller, work: Path, name: str, kind: str) -> None:
        (work / name).write_text("<script>alert(1)</script>")
        answer = get(call, name)
        assert answer.headers["Content-Type"] == kind
        assert answer.headers["Content-Disposition"].startswith("attachment; ")
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Content-Security-Policy"] == "sandbox; default-src 'none'"

    def test_a_name_goes_into_the_header_whatever_is_in_it(self, call: Caller, work: Path) -> None:
        (work / 'é";x.txt').write_text("x")
        told = get(call, 'é";x.txt').headers["Content-Disposition"]
        assert told == "attachment; filename=\"__;x.txt\"; filename*=UTF-8''%C3%A9%22%3Bx.txt"

    @pytest.mark.parametrize(
        ("asked", "status", "told", "body"),
        [
            ("bytes=0-3", 206, "bytes 0-3/10", b"0123"),
            ("bytes=4-", 206, "bytes 4-9/10", b"456789"),
            ("bytes=-3", 206, "bytes 7-9/10", b"789"),
            ("bytes=-99", 206, "bytes 0-9/10", b"0123456789"),
            ("bytes=8-99", 206, "bytes 8-9/10", b"89"),
            ("bytes=9-9,50-", 206, "bytes 9-9/10", b"9"),
            ("bytes=10-", 416, "bytes */10", b""),
            ("bytes=-0", 416, "bytes */10", b""),
            ("bytes=5-4", 200, None, b"0123456789"),
            ("bytes=x", 200, None, b"0123456789"),
            ("bytes=-", 200, None, b"0123456789"),
            ("lines=1-2", 200, None, b"0123456789"),
            ("bytes=0-9,0-9", 200, None, b"0123456789"),
            ("bytes=" + ",".join(f"{n % 10}-{n % 10}" for n in range(17)), 200, None, b"0123456789"),
        ],
    )
    def test_a_range_is_given_as_it_was_asked_for(
        self, call: Caller, work: Path, asked: str, status: int, told: str | None, body: bytes
    ) -> None:
        (work / "ten").write_bytes(b"0123456789")
        answer = get(call, "ten", Range=asked)
        assert (answer.status_code, answer.headers.get("Content-Range"), answer.data) == (status, told, body)
        assert answer.headers["Accept-Ranges"] == "bytes"

    def test_several_ranges_come_in_parts(self, call: Caller, work: Path) -> None:
        (work / "ten").write_bytes(b"0123456789")
        answer = get(call, "ten", Range="bytes=0-1, -2")
        kind, _, boundary = answer.headers["Content-Type"].partition("; boundary=")
        assert (answer.status_code, kind) == (206, "multipart/byteranges")
        part = f"\r\n--{boundary}\r\nContent-Type: application/octet-stream\r\nContent-Range: bytes "
        assert answer.text == f"{part}0-1/10\r\n\r\n01{part}8-9/10\r\n\r\n89\r\n--{boundary}--\r\n"
        assert answer.content_length == len(answer.data)

    def test_what_has_not_changed_is_not_sent_again(self, call: Caller, work: Path) -> None:
        first = get(call, "a.txt")
        mark, when = first.headers["ETag"], first.headers["Last-Modified"]
        for headers in ({"If-None-Match": mark}, {"If-None-Match": f'"x", {mark}'}, {"If-Modified-Since": when}):
            answer = get(call, "a.txt", **headers)
            assert (answer.status_code, answer.data, answer.headers["ETag"]) == (304, b"", mark)
        assert get(call, "a.txt", **{"If-Range": mark, "Range": "bytes=0-0"}).data == b"h"
        assert get(call, "a.txt", **{"If-Range": when, "Range": "bytes=0-0"}).data == b"h"
        (work / "a.txt").write_text("HELLO\n")
        assert get(call, "a.txt", **{"If-None-Match": mark}).data == b"HELLO\n"
        assert get(call, "a.txt", **{"If-Range": mark, "Range": "bytes=0-0"}).data == b"HELLO\n"

    def test_head_tells_the_same_without_the_bytes(self, call: Caller, work: Path) -> None:
        answer = call("HEAD", "/api/v1/files/download?path=a.txt")
        assert (answer.status_code, answer.content_length, answer.data) == (200, 6, b"")
        assert call("HEAD", "/api/v1/files/download?path=docs").data == b""

    def test_a_folder_comes_as_a_zip(self, call: Caller, work: Path) -> None:
        answer = get(call, "docs")
        assert answer.headers["Content-Type"] == "application/zip"
        assert answer.headers["Content-Disposition"].endswith("filename*=UTF-8''docs.zip")
        archive = zipfile.ZipFile(io.BytesIO(answer.data))
        assert archive.read("docs/deep/note.txt") == b"deep\n"

    def test_so_many_folders_are_packed_at_a_time(self, call: Caller, work: Path) -> None:
        held = [call.get("/api/v1/files/download?path=docs", buffered=False) for _ in range(16)]
        assert error(get(call, "docs")) == (429, "RATE_LIMITED")
        for answer in held:
            answer.close()
        assert get(call, "docs").status_code == 200

    def test_what_is_missing_is_told_so(self, call: Caller, work: Path) -> None:
        for path in ("none", "gone", "a.txt/x"):
            assert error(get(call, path)) == (404, "NOT_FOUND")


def ask(call: Caller, door: str, path: str) -> Any:
    if door == "download":
        return call.get("/api/v1/files/download", query_string=_query(path))
    if door == "upload":
        return call.post("/api/v1/files/upload", data=b"x", query_string=_query(path))
    if door.startswith("compose"):
        body = {"sourcePaths": ["a.txt"], "destination": path}
        if door == "compose from":
            body = {"sourcePaths": [path], "destination": "whole"}
        return call.post("/api/v1/files/compose", data=_json(body), content_type="application/json")
    body = {"path": path}
    if door.startswith("move"):
        body = {"source": "a.txt", "destination": path}
    if door == "move from":
        body = {"source": path, "destination": "moved"}
    return call.post(f"/api/v1/fs/{door.split(maxsplit=1)[0]}", data=_json(body), content_type="application/json")


def _json(body: Any) -> bytes:
    return json.dumps(body).encode()


def _query(path: str) -> str:
    return f"path={quote(path.encode('utf-8', 'surrogatepass'), safe='')}"


@pytest.mark.parametrize("twice", [False, True], ids=["once", "encoded twice"])
@pytest.mark.parametrize("door", DOORS)
def test_no_door_leads_outside(call: Caller, work: Path, door: str, twice: bool) -> None:
    for path in TRAVERSAL:
        asked = quote(path.encode("utf-8", "surrogatepass"), safe="/") if twice else path
        (work / "a.txt").write_text("hello\n")
        answer = ask(call, door, asked)
        assert SECRET not in answer.text
        # Encoded twice, a path is only an odd name of a file that is not there, which may be made and removed.
        # So it is with what JSON can't say: the door puts another character in its place.
        is_name = (twice and asked != path) or any(odd in path for odd in ("%", "\0", "\udc80"))
        told = answer.status_code in ((200, 400, 403, 404, 414) if is_name else (400, 403, 404, 409, 414))
        # A link may be looked at, removed and moved: that touches the link alone.
        is_link = path == "leak" and door in ("stat", "remove", "move to", "move from")
        assert told or is_link, (path, answer.status_code, answer.text)
    outside = work.parent / "outside"
    assert ((outside / "secret").read_text(), [path.name for path in outside.iterdir()]) == (
        f"{SECRET}\n",
        ["secret"],
    )


@pytest.mark.parametrize("door", DOORS)
def test_a_stranger_and_one_who_only_reads_are_turned_away(
    stranger: Caller, viewing: Caller, work: Path, door: str
) -> None:
    assert error(ask(stranger, door, "a.txt")) == (401, "AUTH_REQUIRED")
    if door not in ("stat", "list", "download"):
        assert error(ask(viewing, door, "b.txt")) == (403, "FORBIDDEN")
    assert (work / "a.txt").read_text() == "hello\n"


@pytest.fixture
def viewing(app: Cabin, alice: Actor) -> Caller:
    """A client that may only look."""
    caller = Caller(app, None)
    _token, secret = accounts.mint_token(alice, "looking", scopes=("files:read", "projects:read"))
    caller.headers["Authorization"] = f"Bearer {secret}"
    return caller


def test_a_body_that_is_no_json_or_of_the_wrong_form_is_a_400(call: Caller, work: Path) -> None:
    for data in (b"{bad", b"[]", b'"x"', b"null", b'{"path": ["a"]}', b'{"path": null}'):
        answer = call.post("/api/v1/fs/stat", data=data, content_type="application/json")
        assert error(answer)[0] == 400
    assert error(fs(call, "list", path="docs", depth="deep")) == (400, "BAD_REQUEST")


def test_a_browser_uploads_with_the_token_in_a_header(browser: Browser, work: Path) -> None:
    content = os.urandom(300_000)
    answer = browser.client.post(
        "/api/v1/files/upload?path=up.bin",
        data={"file": (io.BytesIO(content), "up.bin")},
        content_type="multipart/form-data",
        headers={"Origin": "http://localhost", "X-CSRF-Token": browser.token},
    )
    assert answer.status_code == 200
    assert (work / "up.bin").read_bytes() == content
    assert service.stamp_of(content) == service.stamp_of((work / "up.bin").read_bytes())
