"""RootCX's sign-in over HTTP: statuses, texts and shapes of the real server, and where ours is stricter."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa
from argon2 import PasswordHasher

from app import config, db, record
from app.accounts import hashing
from app.accounts import service as accounts
from app.actor import Actor
from app.dialects.mount import Cabin
from tests.conftest import Caller
from tests.visitor import Browser

PASSWORD = "tractor-lamp-9"
AUTH = "/api/v1/auth"
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hashes of little work."""
    monkeypatch.setattr(hashing, "_hasher", lambda: PasswordHasher(time_cost=1, memory_cost=64, parallelism=1))


@pytest.fixture
def dora(call: Caller, browser: Browser) -> dict[str, Any]:
    """Dora, whom the owner has registered once the server was theirs."""
    body = {"email": "dora@example.com", "password": PASSWORD, "display_name": "Dora"}
    answer = call.post(f"{AUTH}/register", body)
    assert answer.status_code == 201
    found: dict[str, Any] = answer.json["user"]
    return found


def log_in(caller: Caller, email: str = "dora@example.com", password: str = PASSWORD) -> Any:
    return caller.post(f"{AUTH}/login", {"email": email, "password": password})


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.mark.parametrize("name", ["display_name", "displayName"])
def test_registering_answers_the_user_alone(call: Caller, name: str) -> None:
    answer = call.post(f"{AUTH}/register", {"email": "Dora@Example.com", "password": PASSWORD, name: "Dora"})
    assert answer.status_code == 201
    assert list(answer.json) == ["user"]
    user = answer.json["user"]
    assert list(user) == ["id", "email", "displayName", "createdAt"]
    assert (user["email"], user["displayName"]) == ("dora@example.com", "Dora")
    assert MOMENT.fullmatch(user["createdAt"])


def test_without_a_name_it_is_the_emails_first_part(call: Caller) -> None:
    answer = call.post(f"{AUTH}/register", {"email": "dora@example.com", "password": PASSWORD})
    assert answer.json["user"]["displayName"] == "dora"


def test_logging_in_answers_tokens_and_the_user(stranger: Caller, dora: dict[str, Any]) -> None:
    answer = log_in(stranger)
    assert answer.status_code == 200
    assert set(answer.json) == {"accessToken", "refreshToken", "expiresIn", "user"}
    assert (answer.json["expiresIn"], answer.json["user"]) == (900, dora)
    assert stranger.get(f"{AUTH}/me", headers=bearer(answer.json["accessToken"])).json == dora


def test_refreshing_answers_a_new_pair_and_logging_out_ends_both(stranger: Caller, dora: dict[str, Any]) -> None:
    first = log_in(stranger).json
    second = stranger.post(f"{AUTH}/refresh", {"refreshToken": first["refreshToken"]})
    assert second.status_code == 200
    assert set(second.json) == {"accessToken", "refreshToken", "expiresIn"}
    assert second.json["refreshToken"] != first["refreshToken"]
    for _ in range(2):
        answer = stranger.post(f"{AUTH}/logout", {"refreshToken": second.json["refreshToken"]})
        assert (answer.status_code, answer.json) == (200, {"message": "logged out"})
    for token in (first, second.json):
        answer = stranger.get(f"{AUTH}/me", headers=bearer(token["accessToken"]))
        assert (answer.status_code, answer.json) == (401, {"error": "invalid token"})


# method, path, body, status, the text or a piece of it
REFUSALS: list[tuple[str, str, Any, int, str]] = [
    ("POST", "login", {"email": "dora@example.com", "password": "wrong"}, 401, "invalid credentials"),
    ("POST", "login", {"email": "nobody@example.com", "password": PASSWORD}, 401, "invalid credentials"),
    ("POST", "login", {"email": "bob@example.com", "password": PASSWORD}, 401, "invalid credentials"),
    ("POST", "login", {"email": "dora@example.com"}, 400, "password"),
    ("POST", "login", {"email": 7, "password": PASSWORD}, 400, "email"),
    ("POST", "login", {"email": None, "password": None}, 400, "email"),
    ("POST", "refresh", {"refreshToken": "scr_nobodys"}, 401, "invalid token"),
    ("POST", "refresh", {"refreshToken": "sca_nobodys"}, 401, "not a refresh token"),
    ("POST", "refresh", {}, 400, "refreshToken"),
    ("POST", "refresh", {"refreshToken": 1}, 400, "refreshToken"),
    ("POST", "refresh", [], 400, "the body must be a JSON object"),
    ("POST", "logout", {"refreshToken": "scr_nobodys"}, 401, "invalid token"),
    ("POST", "logout", {}, 400, "refreshToken"),
    ("POST", "register", {"email": "eve@example.com", "password": PASSWORD}, 403, "ask for an invitation"),
    ("POST", "register", {}, 400, "email"),
    ("GET", "me", None, 401, "missing or malformed authorization header"),
    ("PUT", "me", None, 405, "does not take that method"),
    ("GET", "nowhere", None, 404, "nothing here"),
]


@pytest.mark.parametrize("case", REFUSALS, ids=lambda case: f"{case[0]} {case[1]} {case[3]} {case[4]}")
@pytest.mark.parametrize("prefix", ["", "/rootcx"])
def test_a_refusal_is_one_sentence_with_its_status(
    stranger: Caller, dora: dict[str, Any], bob: Actor, prefix: str, case: tuple[str, str, Any, int, str]
) -> None:
    method, path, body, status, text = case
    at_root = not prefix and path == "nowhere"
    answer = stranger(method, f"{prefix}{AUTH}/{path}", body, headers=bearer("sca_x") if at_root else {})
    assert answer.status_code == status
    assert list(answer.json) == ["error"]
    assert text in answer.json["error"]


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        ({"email": "", "password": PASSWORD}, 400, "email required"),
        ({"email": "dora@example.com", "password": PASSWORD}, 400, "email 'dora@example.com' already taken"),
        ({"email": "DORA@example.com ", "password": PASSWORD}, 400, "email 'dora@example.com' already taken"),
        ({"email": "eve@example.com", "password": "short"}, 400, "A password has at least 8 characters."),
        ({"email": "eve@example.com", "password": "password"}, 400, "This password is among the first that are tried."),
        ({"email": "eve", "password": PASSWORD}, 400, "This is not an email address."),
        ({"email": "eve@example.com", "password": "x" * 30 + "-Y-" + "z" * 31}, 201, ""),
    ],
)
def test_what_can_be_registered(call: Caller, dora: dict[str, Any], body: Any, status: int, text: str) -> None:
    answer = call.post(f"{AUTH}/register", body)
    assert answer.status_code == status
    assert text in answer.json.get("error", "")


def test_a_body_that_is_no_json_is_told_so_in_json(stranger: Caller) -> None:
    for raw, kind, status in [
        ("{", "application/json", 400),
        ("email=a", "application/x-www-form-urlencoded", 415),
        ('{"email":"a"}', "text/plain", 415),
        ("\ud800".encode("utf-8", "surrogatepass"), "application/json", 400),
    ]:
        answer = stranger.post(f"/rootcx{AUTH}/login", data=raw, headers={"Content-Type": kind})
        assert (answer.status_code, list(answer.json)) == (status, ["error"])


def test_a_password_of_a_megabyte_is_refused(stranger: Caller, call: Caller) -> None:
    body = {"email": "eve@example.com", "password": "x" * (1 << 20)}
    assert stranger.post(f"/rootcx{AUTH}/login", body).status_code == 413
    smaller = {**body, "password": "x-" * 300_000}
    assert stranger.post(f"/rootcx{AUTH}/login", smaller).status_code == 401
    assert call.post(f"{AUTH}/register", smaller).status_code == 400


def test_eleven_wrong_ones_are_too_many_whatever_is_forwarded(stranger: Caller, dora: dict[str, Any]) -> None:
    for number in range(10):
        headers = {"X-Forwarded-For": f"10.0.0.{number}"}
        answer = stranger.post(f"{AUTH}/login", {"email": dora["email"], "password": "wrong"}, headers=headers)
        assert answer.status_code == 401
    answer = stranger.post(
        f"{AUTH}/login", {"email": dora["email"], "password": PASSWORD}, headers={"X-Forwarded-For": "10.0.0.99"}
    )
    assert answer.status_code == 429
    assert list(answer.json) == ["error"]
    assert 1 <= int(answer.headers["Retry-After"]) <= 6


def test_a_sign_in_that_names_an_email_is_rootcxs_and_any_other_codebuddys(
    stranger: Caller, dora: dict[str, Any]
) -> None:
    assert log_in(stranger).status_code == 200
    for body in ({"password": "x"}, {}, [], "email"):
        answer = stranger.post(f"{AUTH}/login", body)
        assert answer.json["error"]["code"] == "NOT_FOUND"  # CodeBuddy's own is not built yet
    raw = f'{{"pad": "{"x" * 70_000}", "email": "a"}}'
    large = stranger.post(f"{AUTH}/login", data=raw, headers={"Content-Type": "application/json"})
    assert "code" in large.json["error"]
    named_first = stranger.post(f"{AUTH}/login", {"email": dora["email"], "password": "x" * 70_000})
    assert (named_first.status_code, named_first.json) == (401, {"error": "invalid credentials"})
    assert stranger.get(f"{AUTH}/login").status_code == 405


def test_channels_are_rootcxs_for_its_bearers_alone(call: Caller, stranger: Caller, dora: dict[str, Any]) -> None:
    access = log_in(stranger).json["accessToken"]
    for token, is_ours in [(access, True), ("sc_rootcx_anything", True), ("sc_anything", False)]:
        error = stranger.get("/api/v1/channels", headers=bearer(token)).json["error"]
        assert isinstance(error, str) is is_ours


def test_setup_is_over_once_somebody_has_made_the_server_theirs(app: Cabin, stranger: Caller) -> None:
    code = accounts.first_start()
    assert stranger.get(f"{AUTH}/mode").json["setupRequired"] is True
    body = {"email": "ines@example.com", "password": PASSWORD, "displayName": "Ines", "code": code}
    answer = stranger.post(f"{AUTH}/register", body)
    assert answer.status_code == 201
    assert stranger.get(f"{AUTH}/mode").json["setupRequired"] is False
    assert stranger.post(f"{AUTH}/register", {**body, "email": "eve@example.com"}).status_code == 403
    tokens = log_in(stranger, "ines@example.com").json
    users = stranger.get("/api/v1/users", headers=bearer(tokens["accessToken"])).json
    assert users == [answer.json["user"]]


def test_open_registration_lets_anybody_in_without_a_right(
    stranger: Caller, dora: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config, "_current", replace(config.current(), registration="open"))
    assert stranger.post(f"{AUTH}/register", {"email": "eve@example.com", "password": PASSWORD}).status_code == 201
    tokens = log_in(stranger, "eve@example.com").json
    assert stranger.get("/api/v1/users", headers=bearer(tokens["accessToken"])).status_code == 403
    assert stranger.get(f"{AUTH}/me", headers=bearer(tokens["accessToken"])).status_code == 200


def test_users_are_listed_by_email_and_without_the_removed(call: Caller, dora: dict[str, Any]) -> None:
    for name in ("zoe", "anna"):
        call.post(f"{AUTH}/register", {"email": f"{name}@example.com", "password": PASSWORD})
    emails = [user["email"] for user in call.get("/api/v1/users").json]
    assert emails == sorted(emails)
    assert {"anna@example.com", "dora@example.com", "zoe@example.com"} <= set(emails)
    answer = call("DELETE", f"/api/v1/users/{dora['id']}")
    assert (answer.status_code, answer.json) == (200, {"message": "user deleted"})
    assert "dora@example.com" not in [user["email"] for user in call.get("/api/v1/users").json]


def test_somebody_deleted_is_out_at_once(call: Caller, stranger: Caller, dora: dict[str, Any]) -> None:
    tokens = log_in(stranger).json
    assert stranger.get(f"{AUTH}/me", headers=bearer(tokens["accessToken"])).status_code == 200
    assert call("DELETE", f"/api/v1/users/{dora['id']}").status_code == 200
    assert stranger.get(f"{AUTH}/me", headers=bearer(tokens["accessToken"])).status_code == 401
    assert stranger.post(f"{AUTH}/refresh", {"refreshToken": tokens["refreshToken"]}).status_code == 401
    assert log_in(stranger).status_code == 401


def test_the_last_admin_stays_and_nobody_unknown_goes(call: Caller, alice: Actor, stranger: Caller) -> None:
    answer = call("DELETE", f"/api/v1/users/{alice.user}")
    assert (answer.status_code, answer.json) == (400, {"error": "cannot delete the last admin"})
    for unknown in ("usr_nobody", "7c9e6679-7425-40de-944b-e07fc1f90ae7", "1"):
        answer = call("DELETE", f"/api/v1/users/{unknown}")
        assert (answer.status_code, list(answer.json)) == (404, ["error"])
    assert stranger("DELETE", f"/api/v1/users/{alice.user}").status_code == 401


def test_a_member_deletes_nobody(app: Cabin, bob: Actor, alice: Actor, browser: Browser) -> None:
    member = Caller(app, bob)
    assert member("DELETE", f"/api/v1/users/{alice.user}").status_code == 403
    assert member("DELETE", f"/api/v1/users/{bob.user}").status_code == 403


def test_failures_are_audited_by_address_without_the_secret(stranger: Caller, dora: dict[str, Any]) -> None:
    log_in(stranger, password="my-own-guess-77")
    rows = record.audit_rows.c
    with db.read() as conn:
        query = sa.select(rows.target, rows.address, rows.detail).where(rows.action == "signin.password")
        found = conn.execute(query).all()
        text = str(conn.execute(sa.select(record.audit_rows)).all())
    assert [(row.target, row.address) for row in found] == [(dora["id"], "127.0.0.1")]
    assert "my-own-guess-77" not in text
