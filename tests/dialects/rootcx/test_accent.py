"""How RootCX's clients are spoken to, at the root, below the prefix, and on a port."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from app import put_to_use
from app.actor import Actor
from app.config import Config, DialectPort
from app.dialects.mount import Cabin
from tests.conftest import Caller

EVERYWHERE = ["/api/v1/auth/me", "/rootcx/api/v1/auth/me"]


@pytest.mark.parametrize("path", EVERYWHERE)
def test_who_one_is_has_the_dialects_shape(call: Caller, alice: Actor, path: str) -> None:
    answer = call.get(path)
    assert answer.status_code == 200
    assert list(answer.json) == ["id", "email", "displayName", "createdAt"]
    assert (answer.json["id"], answer.json["displayName"]) == (alice.user, alice.name)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", answer.json["createdAt"])


@pytest.mark.parametrize("path", EVERYWHERE)
@pytest.mark.parametrize(
    ("headers", "told"),
    [
        ({}, "missing or malformed authorization header"),
        ({"Authorization": "Token abc"}, "missing or malformed authorization header"),
        ({"Authorization": "Bearer sca_nothing"}, "invalid token"),
        ({"Authorization": "Bearer scr_nothing"}, "invalid token type"),
    ],
    ids=["none", "other scheme", "unknown", "refresh"],
)
def test_a_stranger_is_told_what_was_wrong_with_the_bearer(
    stranger: Caller, path: str, headers: dict[str, str], told: str
) -> None:
    answer = stranger.get(path, headers=headers)
    assert (answer.status_code, answer.json) == (401, {"error": told})


def test_a_port_of_its_own_speaks_it(app: Cabin, settings: Config) -> None:
    made = put_to_use(app, replace(settings, ports=(DialectPort("rootcx", 9100),)))
    client = made.test_client()
    answer = client.get("/nowhere", base_url="http://localhost:9100", environ_overrides={"SERVER_PORT": "9100"})
    assert (answer.status_code, list(answer.json)) == (404, ["error"])


def test_an_unknown_path_and_a_wrong_method_are_json(call: Caller) -> None:
    missing = call.get("/rootcx/api/v1/nowhere")
    assert (missing.status_code, list(missing.json)) == (404, ["error"])
    wrong = call("PUT", "/rootcx/api/v1/auth/me")
    assert (wrong.status_code, list(wrong.json)) == (405, ["error"])
    assert "GET" in wrong.headers["Allow"]


def test_how_to_sign_in_is_told_to_a_stranger(stranger: Caller) -> None:
    answer: Any = stranger.get("/api/v1/auth/mode")
    assert answer.status_code == 200
    assert set(answer.json) == {
        "authRequired",
        "setupRequired",
        "passwordLoginEnabled",
        "magicLinkEnabled",
        "providers",
    }
    assert answer.json["authRequired"] is True
