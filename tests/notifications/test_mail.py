"""Telling somebody by mail, over a real SMTP server."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest

from app import config, db
from app.accounts.models import user
from app.actor import Actor
from app.dialects.mount import Cabin
from app.errors import Conflict, Invalid
from app.notifications import senders, service
from app.notifications.senders import Told
from app.notifications.service import Notice, Rules
from tests.conftest import member
from tests.notifications.listener import Listener
from tests.notifications.test_telling import WAITS, asked, begin, settled
from tests.smtp import Post, text_of
from tests.visitor import Browser


@pytest.fixture
def post(app: Cabin) -> Iterator[Post]:
    """The mail server of the settings."""
    running = Post()
    config.use(dataclasses.replace(config.current(), smtp_url=running.url))
    yield running
    running.stop()


def test_one_s_own_address_is_told(post: Post, app: Cabin, alice: Actor, project: Path) -> None:
    bob = member(alice, "Bob", "admin")
    service.change_rules(bob, Rules(away_only=False, others=True, delay=0))
    service.add_mail(bob)
    session = begin(alice, project, WAITS)
    mail = post.next()
    assert mail["To"] == "bob@example.com"
    assert "make paint" in mail["Subject"]
    assert f"/inbox/{asked(alice, session)}\n" in text_of(mail)
    assert settled(bob, "sent")[0].occasion == "approval"


def test_a_server_that_does_not_take_it_is_told_on_the_page(post: Post, app: Cabin, alice: Actor) -> None:
    bob = member(alice, "Bob")
    post.refuses["RCPT"] = "550 nobody of that name"
    browser = Browser(app, bob)
    assert browser.post("/account/notifications/mail").status_code == 303
    service.test(bob, service.list_channels(bob)[0].id)
    settled(bob, "failed")
    assert "does not take mail for bob@example.com" in browser.get("/account/notifications").text


def test_a_summary_lists_what_it_is_of(post: Post, app: Cabin, alice: Actor, listener: Listener) -> None:
    bob = member(alice, "Bob")
    given = ("sessions:ntc_3", "", "2 sessions are done", "queued", 0, 0, "", 0, None)
    of = [
        Notice(
            f"ntc_{name}", bob.user, "x", "done", f"run_{name}", f"ses_{name}", name, "joined", 0, 0, "", 0, 0, "ntc_3"
        )
        for name in ("Paint", "Sand")
    ]
    told = Told.of(Notice("ntc_3", bob.user, "x", "summary", *given), of)
    senders.send(service.add_mail(bob), told)
    mail = post.next()
    assert mail["Subject"] == "While it was quiet: 2 sessions are done"
    for one in of:
        assert f"Done: {one.title}\n{config.current().url}/sessions/{one.session}\n" in text_of(mail)
    senders.send(service.add_webhook(bob, "Lamp", f"{listener.url}/lamp")[0], told)
    data = listener.next().data
    assert (data["event"], data["url"]) == ("summary", f"{config.current().url}/sessions")
    assert [(one["event"], one["title"], one["session"]) for one in data["items"]] == [
        ("done", "Paint", "ses_Paint"),
        ("done", "Sand", "ses_Sand"),
    ]


def test_it_goes_to_the_address_that_one_has_by_now(post: Post, app: Cabin, alice: Actor) -> None:
    bob = member(alice, "Bob")
    channel = service.add_mail(bob)
    change_email(bob, "rob@example.com")
    service.test(bob, channel.id)
    assert post.next()["To"] == "rob@example.com"
    assert service.list_channels(bob)[0].address == "rob@example.com"
    with pytest.raises(Conflict):
        service.add_mail(bob)
    change_email(bob, None)
    assert service.list_channels(bob)[0].ended == "you have no email address here any more"
    service.test(bob, channel.id)
    assert settled(bob, "dropped")[0].why == "the channel is gone"


def change_email(actor: Actor, email: str | None) -> None:
    with db.transaction() as connection:
        connection.execute(user.update().where(user.c.id == actor.user).values(email=email))


def test_it_takes_an_address_and_a_server(post: Post, app: Cabin, alice: Actor) -> None:
    bob = member(alice, "Bob")
    service.add_mail(bob)
    with pytest.raises(Conflict):
        service.add_mail(bob)
    config.use(dataclasses.replace(config.current(), smtp_url=""))
    with pytest.raises(Invalid, match="sends no mail"):
        service.add_mail(bob)
    assert "Tell me by mail" not in Browser(app, bob).get("/account/notifications").text
