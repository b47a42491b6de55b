"""Who answers for a path that nobody has: a page for a browser, OpenCode's envelope for a program."""

from __future__ import annotations

import pytest

from app.dialects import mount, seed
from tests.conftest import Caller
from tests.dialects.opencode_schemas import check_refusal
from tests.dialects.test_seed_endpoints import shape
from tests.visitor import Browser

UNKNOWN = ["/nowhere", "/unheard/of", "/favicon.txt", "/nowhere/at/all"]


@pytest.mark.parametrize("path", UNKNOWN)
@pytest.mark.parametrize("accept", ["application/json", "*/*", ""])
def test_a_program_is_told_in_opencodes_words(call: Caller, path: str, accept: str) -> None:
    answer = call.get(path, headers={"Accept": accept})
    check_refusal(answer, 404, "NotFoundError")
    assert answer.content_type == "application/json"
    check_refusal(call.post(path, {}, headers={"Accept": accept}), 404, "NotFoundError")


def test_a_stranger_learns_no_more(stranger: Caller) -> None:
    check_refusal(stranger.get("/nowhere", headers={"Accept": "application/json"}), 404, "NotFoundError")


@pytest.mark.parametrize("path", UNKNOWN)
def test_a_browser_sees_a_page(browser: Browser, path: str) -> None:
    page = browser.get(path)
    assert (page.status_code, page.mimetype) == (404, "text/html")


def test_htmx_sees_a_fragment(browser: Browser) -> None:
    answer = browser.client.get("/nowhere", headers={"Accept": "*/*", "HX-Request": "true"})
    assert (answer.status_code, answer.mimetype) == (404, "text/html")


def test_below_api_it_is_told_in_roos_words(call: Caller) -> None:
    answer = call.get("/api/nowhere", headers={"Accept": "application/json"})
    assert (answer.status_code, answer.json) == (404, {"error": "Not found"})


def test_a_file_that_is_none_is_not_opencodes(call: Caller) -> None:
    answer = call.get("/static/nowhere.css", headers={"Accept": "application/json"})
    assert answer.status_code == 404
    assert set(answer.json) == {"error", "code"}


def test_two_dialects_share_two_paths_at_the_root_and_no_other() -> None:
    owners: dict[str, set[str]] = {}
    for one in seed.endpoints():
        owners.setdefault(shape(one.path), set()).add(one.dialect)
    # Both publish their documents there; each answers its own clients below its prefix.
    shared = {path for path, dialects in owners.items() if len(dialects) > 1} - {"/api/openapi.json", "/api/docs"}
    assert shared == {mount.LOGIN, mount.CHANNELS}
