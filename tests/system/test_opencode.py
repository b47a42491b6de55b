"""The system's OpenCode routes: the document tells of every route, and the log takes lines safely."""

from __future__ import annotations

import base64
import logging
import re
from dataclasses import replace
from typing import Any

import pytest

from app import config, openapi, redact
from app.dialects import door, opencode
from app.dialects.mount import Cabin
from tests.conftest import Caller

LINE = {"service": "tui", "level": "warn", "message": "slow"}


def references(value: Any) -> set[str]:
    """Every $ref in a document."""
    if isinstance(value, dict):
        own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
        return own.union(*(references(item) for item in value.values()))
    return set[str]().union(*(references(item) for item in value)) if isinstance(value, list) else set()


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/doc"),
        ("GET", "/global/health"),
        ("POST", "/log"),
        ("GET", "/experimental/capabilities"),
        ("GET", "/experimental/console"),
    ],
)
def test_a_stranger_is_turned_away(stranger: Caller, method: str, path: str) -> None:
    assert stranger(method, f"/opencode{path}").status_code == 401


def test_health_tells_the_version(call: Caller) -> None:
    assert call.get("/opencode/global/health").json == {"healthy": True, "version": opencode.VERSION}


def test_every_operation_is_in_the_document_with_its_summary(call: Caller) -> None:
    paths = call.get("/opencode/doc").json["paths"]
    mine = [one for one in door.operations if one.dialect == "opencode"]
    assert len(mine) > 10
    for one in mine:
        told = paths[re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", one.path)][one.method.lower()]
        assert told["operationId"] == one.endpoint
        assert told["summary"] == one.summary
        assert told["summary"][0].isupper()
        in_path = {parameter["name"] for parameter in told["parameters"] if parameter["in"] == "path"}
        assert in_path == set(re.findall(r"<(?:\w+:)?(\w+)>", one.path))


def test_every_route_of_the_door_is_an_operation(app: Cabin) -> None:
    paths = openapi.document("opencode")["paths"]
    for rule in app.url_map.iter_rules():
        if rule.subdomain == "opencode":
            assert re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule) in paths


def test_bodies_and_queries_are_described(app: Cabin) -> None:
    document = openapi.document("opencode")
    body = document["paths"]["/log"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    line = document["components"]["schemas"][body["$ref"].rpartition("/")[2]]
    assert line["required"] == ["service", "level", "message"]
    query = {one["name"]: one for one in document["paths"]["/find/file"]["get"]["parameters"]}
    assert query["query"]["required"]
    assert query["limit"]["schema"]["maximum"] == 200
    assert not query["directory"]["required"]


@pytest.mark.parametrize("dialect", ["opencode", None])
def test_no_reference_leads_nowhere(app: Cabin, dialect: str | None) -> None:
    document = openapi.document(dialect)
    known = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert references(document["paths"]) | references(document["components"]) <= known


def test_the_document_of_all_keeps_the_dialects_apart(app: Cabin) -> None:
    paths = openapi.document()["paths"]
    assert {path.split("/")[1] for path in paths} == {one.dialect for one in door.operations}
    assert sum(map(len, paths.values())) == len(door.operations)


def test_a_line_reaches_the_log(call: Caller, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "app.system.opencode"):
        answer = call.post("/opencode/log", {**LINE, "extra": {"ms": 12}})
    assert (answer.status_code, answer.json) == (200, True)
    (record,) = [one for one in caplog.records if one.name == "app.system.opencode"]
    assert record.levelno == logging.WARNING
    assert record.getMessage().endswith("says: 'tui' 'slow' {'ms': 12}")


def test_a_line_stays_one_line_without_secrets(call: Caller, caplog: pytest.LogCaptureFixture) -> None:
    redact.watch("PAYMENT_KEY", "hunter2hunter2")
    message = "ok\n2026-01-01 root signed in\x1b[2J\u202e hunter2hunter2" + "x" * 50_000
    call.post("/opencode/log", {**LINE, "level": "error", "message": message, "extra": {"k": ["hunter2hunter2"]}})
    redact.forget("PAYMENT_KEY")
    said = caplog.records[-1].getMessage()
    assert said.isprintable()
    assert "hunter2hunter2" not in said
    assert "[secret:PAYMENT_KEY]" in said
    assert len(said) < 9_000


@pytest.mark.parametrize(
    "body",
    [{}, {**LINE, "level": "loud"}, {**LINE, "message": 5}, {**LINE, "extra": "x"}, {"service": "a"}, []],
)
def test_a_bad_line_is_refused(call: Caller, body: Any) -> None:
    answer = call.post("/opencode/log", body)
    assert (answer.status_code, answer.json["name"]) == (400, "BadRequest")
    assert answer.json["errors"]


class TestTheTokenInTheAddress:
    @pytest.fixture
    def token(self, call: Caller) -> str:
        secret = call.headers["Authorization"].removeprefix("Bearer ")
        return base64.urlsafe_b64encode(f"opencode:{secret}".encode()).decode()

    def test_it_is_off_by_default(self, stranger: Caller, token: str) -> None:
        assert stranger.get("/opencode/session", query_string={"auth_token": token}).status_code == 401

    def test_a_setting_lets_it_in_on_any_route(self, stranger: Caller, token: str) -> None:
        config.use(replace(config.current(), query_password=True))
        for path in ("/session", "/path", "/global/health"):
            assert stranger.get(f"/opencode{path}", query_string={"auth_token": token}).status_code == 200

    @pytest.mark.parametrize("wrong", ["", "nope", "b3BlbmNvZGU6d3Jvbmc=", "_w==", "%00", "ä"])
    def test_a_wrong_one_is_refused(self, stranger: Caller, wrong: str) -> None:
        config.use(replace(config.current(), query_password=True))
        assert stranger.get("/opencode/session", query_string={"auth_token": wrong}).status_code == 401

    def test_a_header_goes_before_it(self, stranger: Caller, token: str) -> None:
        config.use(replace(config.current(), query_password=True))
        wrong = {"Authorization": "Bearer wrong"}
        answer = stranger.get("/opencode/session", query_string={"auth_token": token}, headers=wrong)
        assert answer.status_code == 401

    def test_it_is_written_down_nowhere(self, stranger: Caller, token: str, caplog: pytest.LogCaptureFixture) -> None:
        config.use(replace(config.current(), query_password=True))
        for path in ("/session", "/nope"):
            stranger.get(f"/opencode{path}", query_string={"auth_token": token})
        assert token not in caplog.text
