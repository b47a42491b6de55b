"""The page of notifications: what one sees there, and what a form does."""

from __future__ import annotations

import re
from types import SimpleNamespace

import pytest

from app import slots
from app.actor import Actor
from app.dialects.mount import Cabin
from app.notifications import service
from app.notifications.events import NoticeChanged
from app.notifications.service import Rules
from tests.conftest import Caller, member
from tests.notifications.listener import Device, Listener
from tests.visitor import Browser, is_whole, until

PAGE = "/account/notifications"


def test_it_is_a_whole_page_from_the_start(browser: Browser) -> None:
    page = browser.get(PAGE)
    assert is_whole(page)
    assert "Nobody is told anything elsewhere yet" in page.text
    assert 'data-push="B' in page.text
    assert "Nothing yet. What is told" in page.text


def test_a_webhook_s_secret_is_shown_once(browser: Browser, alice: Actor) -> None:
    page = browser.post(f"{PAGE}/webhook", {"name": "Lamp", "url": "https://example.com/hook/secret-path"})
    found = re.search(r'id="webhook-key">([\w-]{43})<', page.text)
    assert found
    later = browser.get(PAGE).text
    assert found[1] not in later
    assert "example.com" in later
    assert "secret-path" not in later


@pytest.mark.parametrize(
    ("url", "words"),
    [("ftp://example.com", "not allowed"), ("nonsense", "not allowed"), ("https://example.com/taken", "told already")],
)
def test_what_is_wrong_is_said_beside_what_was_written(browser: Browser, alice: Actor, url: str, words: str) -> None:
    service.add_webhook(alice, "Taken", "https://example.com/taken")
    page = browser.post(f"{PAGE}/webhook", {"name": "My lamp", "url": url})
    assert page.status_code in (400, 409)
    assert words in page.text
    assert 'value="My lamp"' in page.text


def test_this_browser_is_added_by_its_subscription(browser: Browser, alice: Actor) -> None:
    form = Device().form("https://push.example.com/abc")
    assert browser.post(f"{PAGE}/browser", form).status_code == 303
    assert browser.post(f"{PAGE}/browser", form).status_code == 303
    assert [one.kind for one in service.list_channels(alice)] == ["browser"]
    wrong = browser.post(f"{PAGE}/browser", {**form, "p256dh": "x"})
    assert (wrong.status_code, "not the keys" in wrong.text) == (400, True)


def test_one_form_says_of_what_and_when(browser: Browser, alice: Actor) -> None:
    channel, _key = service.add_webhook(alice, "Lamp", "https://example.com")
    added, _key = service.add_webhook(alice, "Added in another tab", "https://example.com/added")
    hours = {
        "quiet_from": "22:15",
        "quiet_to": "06:00",
        "quiet_days": ["7", "1"],
        "zone": "Europe/Berlin",
        "quiet": "on",
    }
    wanted = {"delay": "60", "others": "on", "channel": channel.id, channel.id: ["done", "failed"], **hours}
    assert browser.post(PAGE, wanted).status_code == 303
    assert service.rules_of(alice) == Rules(
        away_only=False,
        others=True,
        delay=60,
        quiet=True,
        quiet_from=22 * 60 + 15,
        quiet_to=360,
        quiet_days="17",
        quiet_lets=False,
        zone="Europe/Berlin",
    )
    assert [one.occasions for one in service.list_channels(alice)] == [["done", "failed"], added.occasions]
    for one in (channel, added):
        assert f'name="channel" value="{one.id}"' in browser.get(PAGE).text
    for delay in ("7", "x", "", "-1", "9" * 40):
        assert browser.post(PAGE, {**wanted, "delay": delay}).status_code == 400
    for wrong in (
        {"quiet_from": "24:00"},
        {"quiet_to": "x"},
        {"zone": "Mars"},
        {"quiet_days": []},
        {"quiet_days": "8"},
    ):
        assert browser.post(PAGE, {**wanted, **wrong}).status_code == 400
    page = browser.get(PAGE).text
    assert 'name="quiet_from" value="22:15"' in page
    assert 'name="quiet" checked' in page
    assert 'name="quiet_days" value="1" checked' in page
    assert 'name="quiet_days" value="2">' in page
    assert service.rules_of(alice).delay == 60


def test_a_test_is_told_and_seen(app: Cabin, browser: Browser, alice: Actor, listener: Listener) -> None:
    channel, _key = service.add_webhook(alice, "Lamp", listener.url)
    assert browser.post(f"{PAGE}/{channel.id}/test").status_code == 303
    assert listener.next().data["headline"] == "It works"
    (one,) = until(lambda: [one for one in service.list_notices(alice) if one.state == "sent"])
    page = browser.get(PAGE).text
    assert f'id="notice-{one.id}"' in page
    assert "· told" in page
    assert "told-none" not in page
    with app.test_request_context():
        delete, row = slots.drawn(alice, SimpleNamespace(event=NoticeChanged(session_id="", id=one.id)))
    assert 'hx-target="#told-none" hx-swap="delete"' in delete
    assert f'id="notice-{one.id}"' in row
    assert browser.post(f"{PAGE}/{channel.id}/remove").status_code == 303
    assert service.list_channels(alice) == []
    assert "a channel that is gone" in browser.get(PAGE).text


def test_nobody_reaches_those_of_others(app: Cabin, browser: Browser, alice: Actor) -> None:
    channel, _key = service.add_webhook(alice, "Lamp", "https://example.com")
    bob = Browser(app, member(alice, "Bob"))
    for act in ("test", "remove"):
        assert bob.post(f"{PAGE}/{channel.id}/{act}").status_code == 404
    assert "Lamp" not in bob.get(PAGE).text
    assert Browser(app, member(alice, "Vera", "viewer")).get(PAGE).status_code == 403


def test_strangers_get_the_worker_s_script_alone(stranger: Caller) -> None:
    assert stranger.get(PAGE).status_code in (302, 303, 401)
    script = stranger.get("/push.js")
    assert script.status_code == 200
    assert script.content_type.startswith("text/javascript")


def test_what_was_chosen_stays_beside_what_is_wrong(browser: Browser, alice: Actor) -> None:
    channel, _key = service.add_webhook(alice, "Lamp", "https://example.com")
    wanted = {"delay": "60", "quiet": "on", "quiet_from": "22:15", "quiet_days": ["1"], "zone": "Mars"}
    page = browser.post(PAGE, {**wanted, "channel": channel.id, channel.id: ["failed"]})
    assert page.status_code == 400
    assert 'name="quiet_from" value="22:15"' in page.text
    assert 'name="quiet" checked' in page.text
    assert '<option value="60" selected>' in page.text
    assert re.search(r'value="Mars"[^>]* aria-invalid="true" aria-describedby="rules-error"', page.text)
    assert re.search(r'id="rules-error" role="alert">.*There is no such time zone', page.text)
    ticked = re.findall(rf'name="{channel.id}" value="(\w+)" checked', page.text)
    assert ticked == ["failed"]
    assert service.list_channels(alice)[0].occasions == channel.occasions


def test_an_address_that_is_refused_is_told_at_its_field(browser: Browser) -> None:
    page = browser.post(f"{PAGE}/webhook", {"name": "My lamp", "url": "ftp://example.com"}).text
    assert re.search(r'id="url"[^>]* aria-invalid="true" aria-describedby="webhook-error"', page)
    assert page.index('name="url"') < page.index('id="webhook-error"') < page.index("Is told by POST")
