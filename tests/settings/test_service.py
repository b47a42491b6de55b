"""Setting parts of the configuration: who may, what is refused, where secrets lie, and that nothing is lost."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import sqlalchemy as sa

from app import db, redact
from app.actor import Actor
from app.errors import Denied, Invalid, NotFound
from app.projects import service as projects
from app.projects.service import Place
from app.settings import layers, service
from app.settings.models import configurations
from app.settings.schema import Config
from tests.conftest import member

KEYED = {"provider": {"mine": {"options": {"baseURL": "https://models.example/v1", "apiKey": "sk-very-secret-key"}}}}


def config(**given: Any) -> Config:
    return Config.model_validate(given)


def test_what_is_set_is_read_back_for_its_project_alone(shop: Place, alice: Actor) -> None:
    assert service.set_values(alice, shop, config(model="a/b", theme="dark")) == {"model": "a/b", "theme": "dark"}
    service.set_values(alice, shop, config(theme="light"))
    assert service.config(alice, shop).shown() == {"model": "a/b", "theme": "light"}
    assert service.config(alice, None).shown() == {}


def test_null_takes_a_key_away(shop: Place, alice: Actor) -> None:
    service.set_values(alice, shop, config(model="a/b", agent={"x": {"prompt": "X"}, "y": {"prompt": "Y"}}))
    service.set_values(alice, shop, config(model=None, agent={"x": None}))
    assert service.config(alice, shop).shown() == {"agent": {"y": {"prompt": "Y"}}}


def test_secrets_lie_in_the_vault_and_are_never_shown(shop: Place, alice: Actor) -> None:
    shown = service.set_values(alice, shop, config(**KEYED))
    assert "sk-very-secret-key" not in str(shown)
    assert "sk-very-secret-key" not in str(service.shown(service.config(alice, shop)))
    assert "sk-very-secret-key" not in service.written(alice, shop).text
    assert service.config(alice, shop).provider["mine"].options.api_key == "sk-very-secret-key"  # type: ignore[index,union-attr]
    with db.read() as connection:
        stored = connection.execute(sa.select(configurations.c.document)).scalars().all()
    assert "sk-very-secret-key" not in str(stored)
    assert "sk-very-secret-key" not in redact.text("the key is sk-very-secret-key")


def test_a_mark_sent_back_keeps_the_secret(shop: Place, alice: Actor) -> None:
    service.set_values(alice, shop, config(**KEYED))
    text = service.written(alice, shop).text
    assert "[kept]" in text
    service.replace(alice, shop, text)
    assert service.config(alice, shop).provider["mine"].options.api_key == "sk-very-secret-key"  # type: ignore[index,union-attr]
    with pytest.raises(Invalid, match=r"Nothing is kept for provider\.other\.options\.apiKey"):
        service.set_values(alice, shop, config(provider={"other": {"options": {"apiKey": "[kept]"}}}))


def test_all_of_it_can_be_written_with_comments(shop: Place, alice: Actor) -> None:
    service.replace(alice, shop, '{\n  // of ours\n  "theme": "dark",\n}')
    assert service.config(alice, shop).shown() == {"theme": "dark"}
    for text, words in (
        ('{"theme": }', "Line 1, column 11"),
        ('{\n "nonsense": 1\n}', "Line 2, column 2: There is no key nonsense."),
        ('{"x": "' + "y" * 300_000 + '"}', "at most 256 KiB"),
    ):
        with pytest.raises(Invalid, match=words):
            service.replace(alice, shop, text)
    assert service.config(alice, shop).shown() == {"theme": "dark"}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"mcp": {"x": {"type": "local", "command": ["x"]}}}, "POST /mcp"),
        ({"lsp": {"x": {"command": ["x"]}}}, "Language servers"),
        ({"plugin": ["x"]}, "no plugins"),
        ({"username": "{env:HOME}"}, "only files of who runs the server"),
        ({"agent": {"x": {"prompt": "{file:/etc/passwd}"}}}, "only files of who runs the server"),
        ({"provider": {"x": {"options": {"baseURL": "file:///etc/passwd"}}}}, "baseURL"),
    ],
)
def test_what_would_never_take_effect_is_refused(shop: Place, alice: Actor, given: dict[str, Any], words: str) -> None:
    with pytest.raises(Invalid, match=words):
        service.set_values(alice, shop, config(**given))
    assert service.config(alice, shop).shown() == {}


def test_who_may_not_set_anything_is_refused(shop: Place, alice: Actor, charlie: Actor) -> None:
    bob = member(alice, "Bob")
    for place in (shop, None):
        with pytest.raises(Denied):
            service.set_values(bob, place, config(theme="dark"))
        with pytest.raises((Denied, NotFound)):
            service.config(charlie, place)
    agent = Actor(id="agent:x", kind="agent", user=alice.user, name="Agent", grants=("settings:read",))
    with pytest.raises(Denied):
        service.set_values(agent, shop, config(permission="allow"))


def test_of_two_changes_at_once_both_stay(shop: Place, alice: Actor) -> None:
    keys = [f"k{number}" for number in range(10)]
    start = threading.Barrier(len(keys))

    def change(key: str) -> None:
        start.wait()
        service.set_values(alice, shop, config(agent={key: {"prompt": key}}))

    threads = [threading.Thread(target=change, args=(key,)) for key in keys]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(service.config(alice, shop).agent or {}) == set(keys)


def test_what_was_set_waits_for_a_project_that_was_taken_off(shop: Place, alice: Actor) -> None:
    service.set_values(alice, shop, config(theme="dark"))
    projects.remove(alice, shop.project.id)
    assert layers.merged(layers.of(shop.directory)) == {}
    projects.add(alice, str(shop.directory))
    assert service.config(alice, projects.resolve(alice, str(shop.directory))).shown() == {"theme": "dark"}
