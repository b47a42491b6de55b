"""Links by mail: over a real SMTP server, in TLS wherever it is not this machine, tried again, and told when it fails."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from app import config, db, dispatch, ids, mail
from app.accounts import service as accounts
from app.accounts.models import signin_failure
from app.actor import Actor
from app.config import Config
from app.dialects.mount import Cabin
from app.errors import Invalid
from app.invites import mailing, models, service
from app.record import audit_rows
from app.secrets.models import secrets as vault
from tests.invites.conftest import Guest, link_in, sessions
from tests.invites.test_pages import path_of
from tests.peer import certificate, serving
from tests.smtp import Post, text_of
from tests.visitor import Browser, until

USER = "\0cabin\0p@ss word"
GIVEN = "cabin:p%40ss%20word"


@pytest.fixture
def post() -> Iterator[Post]:
    started = Post()
    yield started
    started.stop()


@pytest.fixture
def settings(settings: Config, post: Post) -> Config:
    return replace(settings, smtp_url=post.url, mail_from="Cabin <cabin@example.org>", public_url="http://localhost")


def state_of(invite_id: str) -> tuple[str, str]:
    with db.read() as conn:
        row = conn.execute(models.link.select().where(models.link.c.id == invite_id)).one()
    return row.mail, row.mail_said


def test_an_invite_is_mailed_and_lets_its_reader_in(
    app: Cabin, post: Post, alice: Actor, browser: Browser, guest: Guest
) -> None:
    made = service.invite(alice, "lena@example.com", ("member",))
    message = post.next()
    assert message["To"] == "lena@example.com"
    assert message["From"] == "Cabin <cabin@example.org>"
    assert message["Subject"] == "Owner invites you to Signalcabin"
    assert message["Auto-Submitted"] == "auto-generated"
    url = link_in(text_of(message))
    assert url.startswith("http://localhost/join?token=")
    until(lambda: state_of(made.invite.id) == ("sent", ""))
    assert ", mailed" in browser.get("/invites").text
    with db.read() as conn:
        assert conn.execute(vault.select().where(vault.c.scope.like("held:invite:%"))).all() == []
    assert "Join as lena@example.com" in guest.open(path_of(url)).text
    assert guest.post("/join").status_code == 303


def test_a_new_link_is_mailed_too(app: Cabin, post: Post, alice: Actor, guest: Guest) -> None:
    made = service.invite(alice, "lena@example.com", ())
    first = link_in(text_of(post.next()))
    until(lambda: state_of(made.invite.id)[0] == "sent")
    service.resend(alice, made.invite.id)
    second = link_in(text_of(post.next()))
    assert guest.open(path_of(first)).status_code == 401
    assert guest.open(path_of(second)).status_code == 200


def test_what_is_refused_is_tried_three_times_and_then_told(
    app: Cabin, post: Post, alice: Actor, browser: Browser
) -> None:
    post.refuses["RCPT"] = "550 no such <b>mailbox</b>"
    made = service.invite(alice, "lena@example.com", ())
    for tries in (1, 2):
        until(lambda tries=tries: state_of(made.invite.id)[0] == "queued" and tried(made.invite.id) == tries)
        mailing.sweep()
    until(lambda: state_of(made.invite.id)[0] == "failed")
    page = browser.get("/invites").text
    assert "Its mail did not go out" in page
    assert "<b>mailbox" not in page
    with db.read() as conn:
        results = [row.result for row in conn.execute(audit_rows.select()) if row.action == "invite.mail"]
    assert results == ["failed"]
    del post.refuses["RCPT"]
    service.resend(alice, made.invite.id)
    assert post.next()["To"] == "lena@example.com"


def tried(invite_id: str) -> int:
    with db.read() as conn:
        row = conn.execute(models.link.select().where(models.link.c.id == invite_id)).one()
    return int(row.mail_tries)


def test_what_a_restart_left_behind_is_sent(app: Cabin, post: Post, alice: Actor) -> None:
    made = service.generate(alice, "lena@example.com")
    with db.transaction() as conn:
        from app.secrets import service as secrets

        secrets.hold(f"invite:{made.invite.id}", "link", made.secret)
        conn.execute(models.link.update().values(mail="sending", mail_tries=1))
    mailing.sweep()
    assert post.taken.empty()
    service.start()
    mailing.sweep()
    assert made.secret in text_of(post.next())


def test_a_person_asks_for_a_link_and_signs_in(app: Cabin, post: Post, alice: Actor, guest: Guest) -> None:
    Browser(app, alice)
    accounts.create_user(alice, "Mei", "mei@example.com", "viewer")
    assert "Email me a sign-in link" in guest.get("/signin").text
    answer = guest.post("/signin/link", email=" Mei@Example.com ", password="")
    assert answer.status_code == 200
    assert "Look into your mail" in answer.text
    message = post.next()
    assert message["To"] == "mei@example.com"
    page = guest.open(path_of(link_in(text_of(message)))).text
    assert "Sign in as mei@example.com" in page
    before = sessions()
    assert guest.post("/join").status_code == 303
    assert sessions() == before + 1
    assert "Mei" in guest.get("/").text


@pytest.mark.parametrize(("minutes", "status"), [(9, 303), (10, 401)])
def test_a_sign_in_link_lives_ten_minutes(
    app: Cabin, post: Post, alice: Actor, guest: Guest, monkeypatch: pytest.MonkeyPatch, minutes: int, status: int
) -> None:
    accounts.create_user(alice, "Mei", "mei@example.com", "viewer")
    service.ask("mei@example.com", "127.0.0.1")
    link = path_of(link_in(text_of(post.next())))
    guest.open(link)
    later, before = ids.now() + minutes * 60_000, sessions()
    monkeypatch.setattr(ids, "now", lambda: later)
    assert guest.post("/join").status_code == status
    assert sessions() == before + (status == 303)


def test_nobody_is_told_whether_somebody_is_here(app: Cabin, post: Post, alice: Actor, guest: Guest) -> None:
    accounts.create_user(alice, "Mei", "mei@example.com", "viewer")
    known = guest.post("/signin/link", email="mei@example.com")
    unknown = guest.post("/signin/link", email="nora@example.com")
    assert unknown.status_code == known.status_code == 200
    assert unknown.text == known.text.replace("mei@example.com", "nora@example.com")
    post.next()
    assert post.taken.empty()


def test_the_answer_waits_for_nothing_that_only_who_is_here_gets(
    app: Cabin, post: Post, alice: Actor, guest: Guest, monkeypatch: pytest.MonkeyPatch
) -> None:
    accounts.create_user(alice, "Mei", "mei@example.com", "viewer")
    woken: list[tuple[object, ...]] = []
    monkeypatch.setattr(dispatch, "wake", lambda *given: woken.append(given))
    for email in ("mei@example.com", "nora@example.com", "a\0b@example.com"):
        assert guest.post("/signin/link", email=email).status_code == 200
    assert [one[1] for one in woken] == ["mei@example.com", "nora@example.com", "a\ufffdb@example.com"]
    with db.read() as conn:
        assert conn.execute(models.link.select()).all() == []


def test_nobody_is_flooded_with_links(app: Cabin, post: Post, alice: Actor, guest: Guest) -> None:
    accounts.create_user(alice, "Mei", "mei@example.com", "viewer")

    def ask(email: str) -> list[int]:
        with db.transaction() as conn:
            conn.execute(signin_failure.delete())
        return [guest.post("/signin/link", email=email).status_code for _ in range(31)]

    assert ask("mei@example.com") == ask("nora@example.com") == [200] * 30 + [429], "a limit tells nothing either"
    for _ in range(5):
        post.next()
    assert post.taken.empty()


def test_a_link_is_no_way_in_for_who_has_another_address_by_now(
    app: Cabin, post: Post, alice: Actor, guest: Guest
) -> None:
    mei = accounts.create_user(alice, "Mei", "mei@example.com", "admin")
    service.ask("mei@example.com", "127.0.0.1")
    link = path_of(link_in(text_of(post.next())))
    with db.transaction() as conn:
        from app.accounts.models import user

        conn.execute(user.update().where(user.c.id == mei.id).values(email="mei@example.net"))
    guest.open(link)
    assert guest.post("/join").status_code == 401


@pytest.mark.parametrize("from_first_byte", [True, False], ids=["smtps", "starttls"])
def test_mail_goes_in_tls_with_name_and_password(
    app: Cabin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, from_first_byte: bool
) -> None:
    file = certificate(tmp_path, "localhost")
    server = Post(serving(file), from_first_byte=from_first_byte, user=USER)
    monkeypatch.setattr(ssl, "create_default_context", trusting(file))
    scheme = "smtps" if from_first_byte else "smtp"
    use(f"{scheme}://{GIVEN}@localhost:{server.port}")
    mail.send("lena@example.com", "Hello", "Grüße\n.\nend\n")
    message = server.next()
    assert message["Subject"] == "Hello"
    assert text_of(message) == "Grüße\n.\nend\n"
    assert "AUTH in TLS" in server.heard
    assert "AUTH in plain" not in server.heard
    server.stop()


def trusting(file: Path) -> Callable[[], ssl.SSLContext]:
    real = ssl.create_default_context
    return lambda: real(cafile=str(file))


def test_a_server_that_is_not_known_gets_no_password(app: Cabin, tmp_path: Path) -> None:
    server = Post(serving(certificate(tmp_path, "localhost")), user=USER)
    use(f"smtp://{GIVEN}@localhost:{server.port}")
    with pytest.raises(mail.Unsent):
        mail.send("lena@example.com", "Hello", "x")
    assert not any(line.startswith(("AUTH", "MAIL")) for line in server.heard)
    server.stop()


def test_elsewhere_nothing_goes_without_tls(app: Cabin, post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mail.Server, "is_here", False)
    with pytest.raises(mail.Unsent):
        mail.send("lena@example.com", "Hello", "x")
    assert post.heard == [post.heard[0]]
    assert post.heard[0].upper().startswith("EHLO")


@pytest.mark.parametrize("refused", ["MAIL", "RCPT", "DATA", "EHLO"])
def test_a_refusal_is_told_in_the_servers_words(app: Cabin, post: Post, refused: str) -> None:
    post.refuses = {refused: "451 later", "HELO": "451 later"} if refused == "EHLO" else {refused: "451 later"}
    with pytest.raises(mail.Unsent):
        mail.send("lena@example.com", "Hello", "x")


def test_nobody_there_is_told_too(app: Cabin, post: Post) -> None:
    use("smtp://127.0.0.1:1")
    with pytest.raises(mail.Unsent, match="could not be used"):
        mail.send("lena@example.com", "Hello", "x")


@pytest.mark.parametrize(
    "to", ["root,lena@example.com", "lena@[", "lena@<,", '"a"@example.com', "a b@example.com", "lena"]
)
def test_a_mail_has_one_reader_with_a_plain_address(app: Cabin, post: Post, to: str) -> None:
    with pytest.raises(mail.Unsent, match="no plain address"):
        mail.send(to, "Hello", "x")
    assert post.heard == []


def use(url: str) -> None:
    config.use(replace(config.current(), smtp_url=url))


@pytest.mark.parametrize(
    "url", ["http://x", "smtp://", "smtp://user@x", "smtp://x:port", "smtp://x/y", "smtp://x?y=1", "x:25", "smtp://:25"]
)
def test_a_wrong_setting_is_told_at_the_start(url: str) -> None:
    with pytest.raises(Invalid, match="SMTP_URL"):
        mail.Server.read(url)


def test_the_usual_ports() -> None:
    assert mail.Server.read("smtps://u:p@mail.example.org") == mail.Server("mail.example.org", 465, True, "u", "p")
    assert mail.Server.read("smtp://mail.example.org") == mail.Server("mail.example.org", 587, False, "", "")


def test_without_mail_nothing_is_asked_for_or_offered(app: Cabin, alice: Actor, guest: Guest, post: Post) -> None:
    Browser(app, alice)
    use("")
    assert "Email me" not in guest.get("/signin").text
    assert guest.post("/signin/link", email="mei@example.com").status_code == 400
    made = service.invite(alice, "lena@example.com", ())
    assert state_of(made.invite.id) == ("", "")


def test_what_nobody_foresaw_is_a_failed_try(
    post: Post, app: Cabin, alice: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(*_: object) -> None:
        raise RuntimeError("nobody foresaw it")

    monkeypatch.setattr(mail, "send", breaks)
    made = service.invite(alice, "lena@example.com", ("viewer",))
    told = until(lambda: next((said for _state, said in [state_of(made.invite.id)] if said), None))
    assert told == "The server could not send it; its log says why."
