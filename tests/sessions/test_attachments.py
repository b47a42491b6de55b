"""Files that go with a prompt: told to the model, kept in the transcript, and never from outside the project."""

from __future__ import annotations

import io
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest

from app.actor import Actor
from app.dialects.mount import Cabin
from app.errors import Denied, Invalid, Problem, TooLarge
from app.projects import service as projects
from app.sessions import service as sessions
from app.sessions.service import Session
from app.sessions.service.attachments import LARGEST_DATA, LARGEST_PICTURE, MOST
from tests.conftest import Caller
from tests.dialects.opencode_schemas import check_message, check_refusal
from tests.dialects.opencode_turns import ask, begin, said
from tests.model_server import Call, ModelServer, Say
from tests.visitor import Browser, until

PNG = b"\x89PNG\r\n\x1a\n" + bytes(16)
PICTURE = f"data:image/png;base64,{b64encode(PNG).decode()}"
TEXT = {"type": "text", "text": "Look."}


@pytest.fixture
def session(app: Cabin, alice: Actor) -> Session:
    return sessions.create(alice, projects.resolve(alice, None), preset="auto")


@pytest.fixture
def project(session: Session) -> Path:
    """The session's directory, with a few files more."""
    directory = Path(session.directory)
    for number in (1, 3):
        (directory / f"notes{number}.txt").write_text("".join(f"line {n}\n" for n in range(1, number + 1)))
    (directory / "a b.png").write_bytes(PNG)
    (directory / "blob.bin").write_bytes(b"\0\1\2")
    return directory


def file(path: Path | str, query: str = "", **more: Any) -> dict[str, Any]:
    url = path.as_uri() if isinstance(path, Path) else path
    return {"type": "file", "mime": "text/plain", "url": f"{url}{query}", **more}


def send(actor: Actor, session: Session, *parts: dict[str, Any], **more: Any) -> list[dict[str, Any]]:
    """Store a prompt; its parts."""
    message, _run = sessions.send(actor, session.id, [TEXT, *parts], no_reply=True, **more)
    return [{"type": part.type, **part.data} for part in message.parts]


def test_a_text_is_told_as_the_read_tool_would(alice: Actor, session: Session, project: Path) -> None:
    _text, called, told, kept = send(alice, session, file(project / "notes3.txt", filename="notes3.txt"))
    path = f'{{"filePath":"{project / "notes3.txt"}"}}'
    assert called == {
        "type": "text",
        "synthetic": True,
        "text": f"Called the Read tool with the following input: {path}",
    }
    assert told["synthetic"] is True
    assert told["text"].splitlines() == [
        "<file>", "    1| line 1", "    2| line 2", "    3| line 3", "", "(End of file, 3 lines)", "</file>",
    ]  # fmt: skip
    assert (kept["type"], kept["mime"], kept["filename"]) == ("file", "text/plain", "notes3.txt")
    assert kept["url"] == (project / "notes3.txt").as_uri()


@pytest.mark.parametrize(
    ("query", "lines"),
    [
        ("?start=2&end=2", [2]),
        ("?start=2", [2, 3]),
        ("?end=2", [1, 2]),
        ("?start=0&end=x", [1, 2, 3]),
        ("?start=9", []),
    ],
)
def test_only_the_lines_that_were_asked_for_are_told(
    alice: Actor, session: Session, project: Path, query: str, lines: list[int]
) -> None:
    told = send(alice, session, file(project / "notes3.txt", query))[2]["text"]
    assert [int(line[:5]) for line in told.splitlines() if line[5:6] == "|"] == lines


def test_a_folder_is_listed(alice: Actor, session: Session, project: Path) -> None:
    _text, called, told, kept = send(alice, session, file(project / "billing"))
    assert called["text"].startswith("Called the List tool with the following input: ")
    assert "  proration.py" in told["text"].splitlines()
    assert (kept["mime"], kept["filename"]) == ("application/x-directory", "billing")


def test_a_picture_becomes_its_own_address(alice: Actor, session: Session, project: Path) -> None:
    _text, called, kept = send(alice, session, file(project / "a b.png"))
    assert "a b.png" in called["text"]
    assert (kept["mime"], kept["url"], kept["filename"]) == ("image/png", PICTURE, "a b.png")


@pytest.mark.parametrize(
    ("named", "problem", "word"),
    [
        ("file:///etc/hostname", Denied, "outside"),
        ("{project}/../outside.txt", Denied, "outside"),
        ("{project}/link.txt", Denied, "outside"),
        ("file://elsewhere/etc/hostname", Invalid, "another machine"),
        ("{project}/missing.txt", Invalid, "There is no file"),
        ("{project}/blob.bin", Invalid, "blob.bin is binary"),
        ("{project}/%00", Invalid, "control characters"),
        ("http://example.com/a.png", Invalid, "begins with file: or data:"),
        ("https://example.com/a.txt", Invalid, "begins with file: or data:"),
        ("data:image/png;base64,!!", Invalid, "not valid base64"),
        ("data:image/png", Invalid, "no data: address"),
        ("data:application/zip;base64,UEsDBAA=", Invalid, "binary"),
        ("javascript:alert(1)", Invalid, "begins with file: or data:"),
    ],
)
def test_what_cannot_go_along_is_refused_in_words(
    alice: Actor, session: Session, project: Path, tmp_path: Path, named: str, problem: type[Problem], word: str
) -> None:
    (tmp_path / "outside.txt").write_text("topsecret")
    (project / "link.txt").symlink_to(tmp_path / "outside.txt")
    with pytest.raises(problem, match=word):
        send(alice, session, file(named.format(project=project.as_uri())))
    assert sessions.transcript(alice, session.id) == []


def test_large_pictures_large_texts_and_many_files_are_refused(alice: Actor, session: Session, project: Path) -> None:
    (project / "large.png").write_bytes(bytes(LARGEST_PICTURE + 1))
    with pytest.raises(TooLarge, match=r"large\.png is a picture of more than 5 MiB"):
        send(alice, session, file(project / "large.png"))
    for size, mime in ((LARGEST_PICTURE + 1, "image/png"), (4 * LARGEST_PICTURE, "image/png")):
        data = b64encode(bytes(size)).decode()
        with pytest.raises(TooLarge):
            send(alice, session, file(f"data:{mime};base64,{data}"))
    with pytest.raises(Invalid, match="large"):
        send(alice, session, file(f"data:text/plain,{'x' * (LARGEST_DATA + 1)}"))
    with pytest.raises(Invalid, match="At most 20 files"):
        send(alice, session, *[file(project / "notes1.txt")] * (MOST + 1))


def test_the_server_s_own_data_never_goes_along(alice: Actor, session: Session, project: Path, settings: Any) -> None:
    with pytest.raises(Denied):
        send(alice, session, file(settings.data_dir / "signalcabin.db"))


def test_a_text_that_came_with_the_prompt_is_told(alice: Actor, session: Session) -> None:
    encoded = b64encode("a;b\n1;ä\n".encode()).decode()
    url = f"data:text/csv;base64,{encoded}"
    _text, called, told, kept = send(alice, session, file(url, filename="t.csv"))
    assert called["text"] == 'Called the Read tool with the following input: {"filePath":"t.csv"}'
    assert "    2| 1;ä" in told["text"]
    assert kept["filename"] == "t.csv"
    assert "    1| hi there" in send(alice, session, file("data:,hi%20there"))[2]["text"]


def test_words_that_name_a_file_attach_it_and_others_stay_words(alice: Actor, session: Session, project: Path) -> None:
    text = "See @notes1.txt, (@billing/proration.py). @nobody @blob.bin @../outside.txt a@notes3.txt @notes1.txt @~/x"
    parts = [{"type": "text", "text": text}]
    message, _run = sessions.send(alice, session.id, parts, no_reply=True, mentions=True)
    files = [part.data for part in message.parts if part.type == "file"]
    assert [one["filename"] for one in files] == ["notes1.txt", "billing/proration.py"]
    assert files[0]["source"] == {
        "type": "file", "path": "notes1.txt", "text": {"value": "@notes1.txt", "start": 4, "end": 15},
    }  # fmt: skip
    assert sessions.get(alice, session.id).title == text[:80].rsplit(" ", 1)[0] + "…"


def test_an_api_s_text_attaches_nothing_by_itself(alice: Actor, session: Session, project: Path) -> None:
    message, _run = sessions.send(alice, session.id, [{"type": "text", "text": "@notes1.txt"}], no_reply=True)
    assert [part.type for part in message.parts] == ["text"]


def test_the_model_reads_it_once_and_may_edit_it_at_once(
    alice: Actor, call: Caller, scripted: ModelServer, session: Session, project: Path
) -> None:
    edit = {"filePath": "notes1.txt", "oldString": "line 1", "newString": "line one"}
    scripted.script = [[Call("edit", edit)], [Say("Done.")]]
    answer = ask(
        call, session.id, said("Change it.", file(project / "notes1.txt"), file(project / "a b.png", mime="image/png"))
    )
    check_message(answer)
    assert (project / "notes1.txt").read_text() == "line one\n"
    told = next(message for message in scripted.requests[0]["messages"] if message["role"] == "user")["content"]
    texts = [part["text"] for part in told if part["type"] == "text"]
    assert sum("    1| line 1" in text for text in texts) == 1
    assert not any("file attached" in text for text in texts)
    assert [part["image_url"]["url"] for part in told if part["type"] == "image_url"] == [PICTURE]
    transcript = call.get(f"/opencode/session/{session.id}/message").json
    for message in transcript:
        check_message(message)
    assert "stamps" not in str(transcript[0])


def test_opencode_s_door_tells_refusals_in_its_envelope(call: Caller, app: Cabin) -> None:
    there = f"/opencode/session/{begin(call)}/message"
    check_refusal(call.post(there, said("See", file("file:///etc/hostname"))), 403, "ForbiddenError")
    check_refusal(call.post(there, said("See", file("ftp://x/y"))), 400, "BadRequest")


def test_a_form_attaches_files_and_the_page_shows_them(
    browser: Browser, scripted: ModelServer, alice: Actor, session: Session, project: Path
) -> None:
    page = browser.get(f"/sessions/{session.id}").text
    assert 'enctype="multipart/form-data"' in page
    assert 'type="file"' in page
    files = [(io.BytesIO(PNG), "shot.png", "image/png"), (io.BytesIO(b"plain words\n"), "n.txt", "text/plain")]
    form = {"text": "See @notes3.txt", "model": "openai/scripted", "files": files}
    assert browser.post(f"/sessions/{session.id}/send", form).status_code == 303
    until(lambda: sessions.get(alice, session.id).state == "idle")
    shown = browser.get(f"/sessions/{session.id}").text
    assert f'<img class="picture" src="{PICTURE}" alt="shot.png">' in shown
    assert "n.txt" in shown
    assert "notes3.txt" in shown
    assert "    1| line 1" not in shown, "what the model was told is not what the person said"
    assert "plain words" in str(scripted.requests[0])
    assert "line 3" in str(scripted.requests[0])


def test_a_file_that_cannot_go_along_is_told_on_the_page(browser: Browser, session: Session) -> None:
    form = {"text": "See", "files": [(io.BytesIO(b"\0\1"), "x.bin", "application/octet-stream")]}
    answer = browser.post(f"/sessions/{session.id}/send", form)
    assert answer.status_code == 400
    assert "x.bin is binary" in answer.text


def test_a_new_session_takes_files_too(browser: Browser, scripted: ModelServer, alice: Actor) -> None:
    form = {"text": "See", "model": "openai/scripted", "files": [(io.BytesIO(PNG), "shot.png", "image/png")]}
    answer = browser.post("/sessions", form)
    assert answer.status_code == 303
    scripted.wait_for_requests(1)
    assert PICTURE in str(scripted.requests[0])
