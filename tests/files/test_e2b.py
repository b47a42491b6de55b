"""envd's files: the Filesystem service, uploads of every kind, downloads, and what lies outside of a sandbox."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import time
from pathlib import Path
from stat import S_IFREG, filemode
from typing import Any

import pytest

from app.accounts import service as accounts
from app.actor import Actor
from app.dialects.mount import Cabin
from app.files import watch
from app.projects import service as projects
from tests.conftest import Caller
from tests.dialects.e2b.client import E2B, FILES, Envd, printed
from tests.dialects.e2b.conftest import envd, key

__all__ = ["envd", "key"]
BYTES = "application/octet-stream"


def put(envd: Envd, path: str, data: bytes | str = "x", **more: Any) -> Any:
    raw = data.encode() if isinstance(data, str) else data
    return envd("POST", "/files", query_string={"path": path}, data=raw, content_type=BYTES, **more)


def read(envd: Envd, path: str) -> bytes:
    with envd("GET", "/files", query_string={"path": path}) as answer:
        assert answer.status_code == 200, answer.text
        data: bytes = answer.data
        return data


def form(*files: tuple[str, str]) -> dict[str, Any]:
    return {"file": [(io.BytesIO(data.encode()), name) for name, data in files]}


def send(envd: Envd, data: Any, path: str | None = None, **more: Any) -> Any:
    query = {"path": path} if path else {}
    return envd("POST", "/files", query_string=query, data=data, content_type="multipart/form-data", **more)


def error(answer: Any) -> tuple[int, Any]:
    return answer.status_code, answer.json["code"]


@pytest.mark.parametrize("path", ["a.txt", "~/a.txt", "/home/user/a.txt", "/home/user/b/../a.txt"])
def test_a_file_has_one_path_however_it_is_named(envd: Envd, path: str) -> None:
    told = {"name": "a.txt", "type": "file", "path": "/home/user/a.txt"}
    assert put(envd, path, "hello").json == [told]
    assert read(envd, path) == read(envd, "a.txt") == b"hello"


def test_an_entry_is_told_as_envd_tells_it(envd: Envd) -> None:
    put(envd, "d/a.txt", "hello")
    entry = envd.call(f"{FILES}Stat", {"path": "d/a.txt"}).json["entry"]
    assert entry.pop("modifiedTime").endswith("Z")
    permissions, mode = entry.pop("permissions"), entry.pop("mode")
    assert permissions == filemode(S_IFREG | mode)
    wanted = {
        "name": "a.txt", "type": "FILE_TYPE_FILE", "path": "/home/user/d/a.txt", "size": "5", "owner": "user",
        "group": "user", "isSymlink": False,
    }  # fmt: skip
    assert entry == wanted
    folder = envd.call(f"{FILES}Stat", {"path": "d"}).json["entry"]
    assert (folder["type"], folder["permissions"][0]) == ("FILE_TYPE_DIRECTORY", "d")


def test_a_link_is_told_as_a_link(envd: Envd) -> None:
    put(envd, "a.txt", "hello")
    envd.run("ln -s a.txt link; ln -s /etc/passwd out")
    entry = envd.call(f"{FILES}Stat", {"path": "link"}).json["entry"]
    assert (entry["type"], entry["isSymlink"], entry["symlinkTarget"]) == ("FILE_TYPE_SYMLINK", True, "a.txt")
    assert read(envd, "link") == b"hello"
    assert error(envd("GET", "/files?path=out")) == (403, 403)
    assert error(put(envd, "link")) == (403, 403)


def test_folders_are_listed_to_a_depth(envd: Envd) -> None:
    for path in ("top.txt", "d/one.txt", "d/e/two.txt"):
        put(envd, path)

    def paths(path: str, depth: int) -> set[str]:
        answer = envd.call(f"{FILES}ListDir", {"path": path, "depth": depth})
        return {entry["path"] for entry in answer.json["entries"]}

    assert paths("", 0) == paths("/home/user", 1) == {"/home/user/top.txt", "/home/user/d"}
    assert paths("d", 1) == {"/home/user/d/one.txt", "/home/user/d/e"}
    assert paths("~/d", 2) == {"/home/user/d/one.txt", "/home/user/d/e", "/home/user/d/e/two.txt"}
    put(envd, "/tmp/t.txt")
    assert paths("/tmp", 1) == {"/tmp/t.txt"}
    assert error(envd.call(f"{FILES}ListDir", {"path": "top.txt"})) == (400, "invalid_argument")
    assert error(envd.call(f"{FILES}ListDir", {"path": "none"})) == (404, "not_found")


def test_folders_are_made_moved_and_removed(envd: Envd) -> None:
    assert envd.call(f"{FILES}MakeDir", {"path": "a/b"}).json["entry"]["path"] == "/home/user/a/b"
    assert error(envd.call(f"{FILES}MakeDir", {"path": "a/b"})) == (409, "already_exists")
    put(envd, "a/b/c.txt", "c")
    moved = envd.call(f"{FILES}Move", {"source": "a/b", "destination": "x/y"})
    assert moved.json["entry"]["path"] == "/home/user/x/y"
    assert read(envd, "x/y/c.txt") == b"c"
    assert error(envd.call(f"{FILES}Move", {"source": "a/b", "destination": "z"})) == (404, "not_found")
    assert envd.call(f"{FILES}Remove", {"path": "x"}).json == {}
    assert error(envd.call(f"{FILES}Stat", {"path": "x"})) == (404, "not_found")
    assert error(envd.call(f"{FILES}Remove", {"path": "x"})) == (404, "not_found")


def test_several_files_go_where_their_names_say(envd: Envd) -> None:
    answer = send(envd, form(("/home/user/d/a", "1"), ("b", "2"), ("/tmp/c", "3")))
    assert [one["path"] for one in answer.json] == ["/home/user/d/a", "/home/user/b", "/tmp/c"]
    assert [read(envd, path) for path in ("d/a", "b", "/tmp/c")] == [b"1", b"2", b"3"]


def test_a_path_goes_before_the_name(envd: Envd) -> None:
    assert send(envd, form(("whatever", "1")), "real.txt").json[0]["path"] == "/home/user/real.txt"
    assert error(send(envd, form(("a", "1"), ("b", "2")), "real.txt")) == (400, 400)
    assert error(send(envd, form(("d/../a", "1"), ("a", "2")))) == (400, 400)


@pytest.mark.parametrize(
    "given",
    [
        {"data": {"other": "x"}, "content_type": "multipart/form-data"},
        {"data": b"--x\r\nnonsense", "content_type": "multipart/form-data; boundary=x"},
        {"data": b"x", "content_type": "multipart/form-data"},
        {"data": b"x", "content_type": BYTES},
    ],
    ids=["no file", "nonsense", "no boundary", "no path"],
)
def test_other_uploads_are_refused_in_words(envd: Envd, given: dict[str, Any]) -> None:
    assert error(envd("POST", "/files", **given)) == (400, 400)


def test_another_type_is_not_taken(envd: Envd) -> None:
    assert error(envd("POST", "/files?path=a", data=b"{}", content_type="application/json")) == (415, 415)


def test_packed_bodies_are_unpacked(envd: Envd) -> None:
    packed = {"Content-Encoding": "gzip"}
    whole = gzip.compress(b"z" * 500_000)
    assert put(envd, "z", whole, headers=packed).status_code == 200
    assert read(envd, "z") == b"z" * 500_000
    for broken in (b"no gzip", whole[:-20], whole[:10] + b"\0" * 100):
        assert error(put(envd, "z", broken, headers=packed)) == (400, 400)
    assert read(envd, "z") == b"z" * 500_000
    assert error(put(envd, "z", b"x", headers={"Content-Encoding": "br"}))[0] == 415
    assert envd("POST", "/envs", data=whole, headers=packed).status_code == 415


def test_labels_lie_beside_the_content(envd: Envd) -> None:
    answer = put(envd, "a.txt", "hello", headers={"X-Metadata-Origin": "story", "X-Metadata-No": "1"})
    assert answer.json[0]["metadata"] == {"origin": "story", "no": "1"}
    assert envd.call(f"{FILES}Stat", {"path": "a.txt"}).json["entry"]["metadata"] == {"origin": "story", "no": "1"}
    [listed] = envd.call(f"{FILES}ListDir", {"path": ""}).json["entries"]
    assert listed["metadata"] == {"origin": "story", "no": "1"}
    assert error(put(envd, "b.txt", "x", headers={"X-Metadata-Long": "x" * 5_000})) == (400, 400)
    assert error(envd("GET", "/files?path=b.txt")) == (404, 404)


def test_files_are_put_together(envd: Envd) -> None:
    for name in ("1", "2", "3"):
        put(envd, f"parts/{name}", name)
    sources = [f"parts/{name}" for name in ("1", "2", "3")]
    answer = envd("POST", "/files/compose", json={"source_paths": sources, "destination": "whole"})
    assert answer.json == {"name": "whole", "type": "file", "path": "/home/user/whole"}
    assert read(envd, "whole") == b"123"
    assert envd.call(f"{FILES}ListDir", {"path": "parts"}).json["entries"] == []
    for bad in ({"source_paths": [], "destination": "x"}, {"source_paths": ["whole"], "destination": "./whole"}):
        assert error(envd("POST", "/files/compose", json=bad)) == (400, 400)
    missing = {"source_paths": ["none"], "destination": "x"}
    assert error(envd("POST", "/files/compose", json=missing)) == (404, 404)


def test_a_download_may_be_a_part(envd: Envd) -> None:
    put(envd, "a.html", "<b>0123456789</b>")
    with envd("GET", "/files?path=a.html", headers={"Range": "bytes=3-5"}) as answer:
        assert (answer.status_code, answer.data, answer.mimetype) == (206, b"012", BYTES)
    assert error(envd("GET", "/files?path=none")) == (404, 404)
    assert error(envd("GET", "/files")) == (400, 400)
    assert error(envd("GET", "/files?path=%00")) == (400, 400)


@pytest.mark.parametrize("path", ["/etc/passwd", "/", "/home/other/x", "/var/x"])
def test_what_lies_outside_is_as_unknown(envd: Envd, path: str) -> None:
    assert error(envd.call(f"{FILES}Stat", {"path": path})) == (404, "not_found")
    assert error(envd.call(f"{FILES}Move", {"source": path, "destination": "a"})) == (404, "not_found")
    assert error(put(envd, path)) == (404, 404)
    assert error(envd("GET", "/files", query_string={"path": path})) == (404, 404)


@pytest.mark.parametrize("path", ["../x", "/home/user/../x", "/tmp/../x", "a/../../x"])
def test_nothing_climbs_out(envd: Envd, path: str) -> None:
    assert error(envd.call(f"{FILES}Stat", {"path": path}))[0] in (403, 404)
    assert error(put(envd, path))[0] in (403, 404)


def test_gits_own_files_are_for_git(envd: Envd) -> None:
    assert error(put(envd, ".git/hooks/post-commit")) == (403, 403)
    events, _last = envd.run("git init -q . && echo done")
    assert printed(events) == "done\n"


def test_other_directories_are_not_a_sandboxs_own(envd: Envd, alice: Actor) -> None:
    sample = projects.resolve(alice, None).directory
    assert error(envd.call(f"{FILES}Stat", {"path": str(sample)})) == (404, "not_found")


def test_a_reader_writes_nothing(app: Cabin, alice: Actor, envd: Envd) -> None:
    put(envd, "a.txt", "hello")
    scopes = ("sandboxes:read", "files:read", "projects:read", "system:read")
    key = accounts.mint_token(alice, "reader", scopes)[1]
    reader = Envd(app, envd.id, None)
    reader.headers["X-API-Key"] = key
    assert read(reader, "a.txt") == b"hello"
    assert error(put(reader, "a.txt", "no")) == (403, 403)
    assert error(reader.call(f"{FILES}Remove", {"path": "a.txt"})) == (403, "permission_denied")
    assert error(reader.call("/process.Process/SendInput", {"process": {"pid": 1}})) == (403, "permission_denied")


def test_signed_addresses_read_and_write_one_file(app: Cabin, envd: Envd) -> None:
    put(envd, "a.txt", "hello")
    nobody = Caller(app, None)
    token = envd.headers["X-Access-Token"]

    def signed(operation: str, path: str, **more: str) -> dict[str, str]:
        soon = str(int(time.time()) + 60)
        digest = hashlib.sha256(f"a.txt:{operation}::{token}:{soon}".encode()).digest()
        signature = "v1_" + base64.b64encode(digest).decode().rstrip("=")
        return {"path": path, "signature": signature, "signature_expiration": soon, **more}

    for base in ("", "/e2b"):
        assert nobody.get(f"{base}/files", query_string=signed("read", "a.txt")).data == b"hello"
    assert nobody.get("/files", query_string=signed("read", "b.txt")).status_code == 401
    assert nobody.get("/files", query_string=signed("write", "a.txt")).status_code == 401
    assert nobody.get("/files", query_string=signed("read", "a.txt", username="root")).status_code == 401
    assert nobody.get("/files", query_string=signed("read", "a.txt", signature_expiration="1")).status_code == 401
    for operation, status in (("read", 401), ("write", 200)):
        given = {"data": form(("x", "new")), "content_type": "multipart/form-data"}
        assert nobody("POST", "/files", query_string=signed(operation, "a.txt"), **given).status_code == status
    assert read(envd, "a.txt") == b"new"
    elsewhere = nobody("POST", f"/e2b{FILES}Stat", {"path": "a.txt"}, query_string=signed("read", "a.txt"))
    assert elsewhere.status_code == 401


def test_without_a_sandbox_the_project_is_the_workspace(call: Caller, alice: Actor) -> None:
    place = projects.resolve(alice, None)
    answer = call("POST", "/e2b/files?path=hello.txt", data=b"x", content_type=BYTES)
    assert answer.json[0]["path"] == "/home/user/hello.txt"
    assert (Path(place.directory) / "hello.txt").read_bytes() == b"x"
    by_its_own = call.post(f"/e2b{FILES}Stat", {"path": str(place.directory / "hello.txt")})
    assert by_its_own.json["entry"]["path"] == str(place.directory / "hello.txt")


def test_a_worktrees_files_are_a_sandboxs(app: Cabin, key: E2B, alice: Actor) -> None:
    project = projects.resolve(alice, None).project
    envd = key.make(project.id)
    names = {entry["name"] for entry in envd.call(f"{FILES}ListDir", {"path": ""}).json["entries"]}
    assert {one.name for one in project.path.iterdir()} - {".git"} <= names
    put(envd, "only-here", "x")
    assert not (project.path / "only-here").exists()


def kinds(events: list[dict[str, Any]], name: str) -> set[str]:
    return {event["type"].removeprefix("EVENT_TYPE_") for event in events if event["name"] == name}


def test_a_folder_is_followed_by_asking(envd: Envd) -> None:
    put(envd, "d/e/old")
    given = {"path": "d", "recursive": True, "includeEntry": True}
    watcher = {"watcherId": envd.call(f"{FILES}CreateWatcher", given).json["watcherId"]}
    flat = {"watcherId": envd.call(f"{FILES}CreateWatcher", {"path": "~/d"}).json["watcherId"]}
    put(envd, "d/new", "12345")
    put(envd, "d/e/deep")
    envd.run("rm d/e/old")
    events = envd.call(f"{FILES}GetWatcherEvents", watcher).json["events"]
    assert kinds(events, "new") & {"CREATE", "WRITE"}
    assert kinds(events, "e/deep") & {"CREATE", "WRITE"}
    assert "REMOVE" in kinds(events, "e/old")
    [entry, *_] = [event["entry"] for event in events if event["name"] == "new"]
    assert (entry["path"], entry["size"]) == ("/home/user/d/new", "5")
    assert envd.call(f"{FILES}GetWatcherEvents", watcher).json == {"events": []}
    shallow = envd.call(f"{FILES}GetWatcherEvents", flat).json["events"]
    assert kinds(shallow, "new")
    assert not kinds(shallow, "e/deep")
    assert all("entry" not in event for event in shallow)
    for one in (watcher, flat):
        assert envd.call(f"{FILES}RemoveWatcher", one).json == {}
        assert error(envd.call(f"{FILES}GetWatcherEvents", one)) == (404, "not_found")


def test_a_folder_is_followed_by_a_stream(envd: Envd, key: E2B) -> None:
    put(envd, "d/old")
    running = envd.stream(f"{FILES}WatchDir", {"path": "d", "includeEntry": True})
    assert running.message() == {"start": {}}
    put(envd, "d/new", "12")
    event = running.message()["filesystem"]
    assert (event["name"], event["entry"]["path"]) == ("new", "/home/user/d/new")
    envd.call(f"{FILES}Remove", {"path": "d"})
    messages, last = running.messages()
    assert messages[-1]["filesystem"] == {"name": ".", "type": "EVENT_TYPE_REMOVE"}
    assert last == {}


def test_a_followers_time_ends(envd: Envd) -> None:
    put(envd, "d/old")
    headers = {"Connect-Timeout-Ms": "1200", "Keepalive-Ping-Interval": "1"}
    running = envd.stream(f"{FILES}WatchDir", {"path": "d"}, **headers)
    messages, last = running.messages()
    assert messages == [{"start": {}}, {"keepalive": {}}]
    assert last["error"]["code"] == "deadline_exceeded"


def test_what_is_no_folder_is_not_followed(envd: Envd, key: E2B) -> None:
    put(envd, "file")
    watcher = envd.call(f"{FILES}CreateWatcher", {"path": ""}).json
    for path, code in (("none", "not_found"), ("file", "invalid_argument"), ("/etc", "not_found")):
        assert envd.call(f"{FILES}CreateWatcher", {"path": path}).json["code"] == code
        _messages, last = envd.stream(f"{FILES}WatchDir", {"path": path}).messages()
        assert last["error"]["code"] == code
    other = key.make()
    assert error(other.call(f"{FILES}GetWatcherEvents", watcher)) == (404, "not_found")
    assert error(other.call(f"{FILES}RemoveWatcher", watcher)) == (404, "not_found")


def test_what_is_lost_is_told(envd: Envd, monkeypatch: pytest.MonkeyPatch) -> None:
    put(envd, "d/old")
    monkeypatch.setattr(watch.Watch.__init__, "__kwdefaults__", {**watch.Watch.__init__.__kwdefaults__, "queue": 2})
    watcher = envd.call(f"{FILES}CreateWatcher", {"path": "d"}).json
    for number in range(5):
        put(envd, f"d/{number}")
    answer = envd.call(f"{FILES}GetWatcherEvents", watcher)
    assert error(answer) == (503, "unavailable")
