"""What `thing.name` means in a template, whatever the thing is."""

from __future__ import annotations

from collections import UserDict
from types import SimpleNamespace
from typing import Any

import pytest

from app.web_templates import Templates


class Named(dict[str, Any]):
    """A dict that has a name of its own."""

    name = "its own"


@pytest.mark.parametrize(
    ("thing", "shown"),
    [
        ({"name": "a key"}, "a key"),
        ({"name": None}, "None"),
        ({}, ""),
        (Named(name="a key"), "its own"),
        (UserDict(name="a key"), "a key"),
        (SimpleNamespace(name="an attribute"), "an attribute"),
        (None, ""),
    ],
)
def test_a_name_is_an_attribute_or_a_key(app: Any, thing: Any, shown: str) -> None:
    assert app.jinja_env.from_string("{{ thing.name }}").render(thing=thing) == shown


def test_a_dict_s_methods_come_before_its_keys(app: Any) -> None:
    assert isinstance(app.jinja_env, Templates)
    template = app.jinja_env.from_string("{{ thing.get('items') }} {{ thing.items is callable }}")
    assert template.render(thing={"items": "three"}) == "three True"


def test_a_key_that_is_missing_is_not_defined(app: Any) -> None:
    template = app.jinja_env.from_string("{{ thing.name is defined }} {{ thing.name|default('none') }}")
    assert template.render(thing={}) == "False none"
