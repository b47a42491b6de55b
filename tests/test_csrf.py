from __future__ import annotations

import pytest

from app import csrf
from app.errors import Denied

OWN = "http://127.0.0.1:8000"
SID = "sid_secret"
TOKEN = csrf.csrf_token(SID)


def is_let_through(
    headers: dict[str, str],
    *,
    proof: str = "cookie",
    method: str = "POST",
    form: dict[str, str] | None = None,
) -> bool:
    try:
        csrf.check(
            method,
            headers,
            form or {},
            proof=proof,
            sid=SID,
            own_origins=[OWN],
            guest_origins=["https://app.example.org"],
        )
    except Denied:
        return False
    return True


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": OWN},
        {"Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "none"},
        {"Sec-Fetch-Site": "same-origin", "Origin": OWN},
        {"Sec-Fetch-Site": "same-origin", "Origin": "null"},
    ],
)
def test_a_cookie_from_our_own_page_changes_things_with_its_token(headers: dict[str, str]) -> None:
    assert is_let_through({**headers, "X-CSRF-Token": TOKEN})
    assert is_let_through(headers, form={"csrf_token": TOKEN})
    assert not is_let_through(headers)


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "null"},
        {"Sec-Fetch-Site": ""},
        {"Origin": "https://evil.example"},
        {"Origin": "http://127.0.0.1:8001"},
        {"Origin": "http://localhost:8000"},
        {"Origin": "https://127.0.0.1:8000"},
        {"Origin": "http://127.0.0.1:8000.evil.example"},
        {"Origin": OWN + "/"},
        {"Origin": "https://app.example.org"},
        {"Origin": OWN, "Sec-Fetch-Site": "cross-site"},
    ],
)
def test_another_site_never_changes_things_by_cookie(headers: dict[str, str]) -> None:
    assert not is_let_through({**headers, "X-CSRF-Token": TOKEN})


@pytest.mark.parametrize("token", ["", "x", TOKEN[:-1], TOKEN.upper(), csrf.csrf_token("sid_other"), "é"])
def test_a_wrong_token_is_refused(token: str) -> None:
    assert not is_let_through({"Origin": OWN, "X-CSRF-Token": token})


def test_a_session_without_a_secret_has_no_token() -> None:
    with pytest.raises(Denied):
        csrf.check("POST", {"X-CSRF-Token": csrf.csrf_token("")}, {}, proof="cookie", sid="", own_origins=[OWN])


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_reading_needs_nothing(method: str) -> None:
    assert is_let_through({"Origin": "https://evil.example"}, method=method)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_every_change_is_checked(method: str) -> None:
    assert not is_let_through({"Origin": "https://evil.example", "X-CSRF-Token": TOKEN}, method=method)


def test_a_bearer_is_never_sent_by_itself() -> None:
    assert is_let_through({"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}, proof="bearer")


@pytest.mark.parametrize("proof", ["basic", "port", "open"])
@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, True),
        ({"Origin": OWN, "Sec-Fetch-Site": "same-origin"}, True),
        ({"Origin": "https://app.example.org", "Sec-Fetch-Site": "cross-site"}, True),
        ({"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}, False),
        ({"Origin": "https://evil.example"}, False),
        ({"Sec-Fetch-Site": "cross-site"}, False),
        ({"Origin": "null"}, False),
        ({"Origin": "null", "Sec-Fetch-Site": "same-origin"}, True),
    ],
)
def test_rights_without_a_session_hang_on_the_origin(proof: str, headers: dict[str, str], expected: bool) -> None:
    assert is_let_through(headers, proof=proof) is expected


def test_a_sign_in_form_is_covered_too() -> None:
    csrf.check_sign_in("POST", {"Origin": OWN}, [OWN])
    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "null"}):
        with pytest.raises(Denied):
            csrf.check_sign_in("POST", headers, [OWN])


def test_the_token_tells_nothing_about_the_session() -> None:
    assert SID not in TOKEN
    assert len(TOKEN) == 64
    assert csrf.csrf_token(SID) == TOKEN
