"""One's own account: tokens, devices, name, email and password."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from flask import Response, request, url_for

from app import config, ids, slots, web
from app.accounts import bp, service
from app.accounts.service import Device, Token
from app.actor import Actor
from app.errors import Problem

DAY = 86_400_000
# What a token may be for, in words; the grants it then asks for. "" is said in its own field.
MAY: dict[str, tuple[str, tuple[str, ...]]] = {
    "all": ("do all that I may", ("*",)),
    "run": (
        "run sessions",
        ("system:read", "events:read", "projects:read", "sessions:*", "files:*", "checkpoints:*", "tool:*"),
    ),
    "answer": ("answer approvals", ("system:read", "events:read", "sessions:read", "approvals:*")),
    "read": (
        "only read",
        tuple(
            f"{noun}:read" for noun in ("system", "events", "projects", "sessions", "approvals", "files", "checkpoints")
        ),
    ),
}
ENDS: dict[str, tuple[str, int | None]] = {
    "30": ("in 30 days", 30),
    "7": ("in 7 days", 7),
    "90": ("in 90 days", 90),
    "365": ("in a year", 365),
    "never": ("never", None),
}
THEMES = {"system": "System", "light": "Light", "dark": "Dark"}
DENSITIES = {"normal": "Normal", "compact": "Compact"}
_PROGRAMS = ("Firefox", "Edg", "OPR", "Chrome", "Safari", "curl", "python", "node")
_SYSTEMS = ("iPhone", "iPad", "Android", "Windows", "Macintosh", "Linux")
_CALLED = {"Edg": "Edge", "OPR": "Opera", "Macintosh": "macOS", "python": "Python", "node": "Node"}


@dataclass(frozen=True)
class Typed:
    """What was typed into a form, and what is wrong with it; passwords are not typed back."""

    of: str = ""
    values: dict[str, str] = field(default_factory=dict)
    problem: Problem | None = None


@dataclass(frozen=True)
class Row:
    """A device in the list, by what it says it is."""

    one: Device

    @property
    def name(self) -> str:
        """Program and system in words."""
        return called(self.one.agent) or ("A browser" if self.one.kind == "browser" else "A client")

    @property
    def glyph(self) -> str:
        """The icon of its kind."""
        if self.one.kind == "client":
            return "terminal"
        return "smartphone" if any(word in self.one.agent for word in ("iPhone", "Android")) else "monitor"


@dataclass(frozen=True)
class Port:
    """A port of one dialect: as which of the person's tokens it acts, "" if it asks for credentials."""

    number: int
    dialect: str
    token: str


@bp.get("/account")
def account() -> Response:
    """One's own account."""
    return _page(Typed())


@bp.post("/account/tokens")
def mint() -> Response:
    """Make a token, and show its secret this once."""
    names = ("name", "may", "ends", "scopes")
    typed = {name: web.form(name)[:2_000] for name in names}
    _words, days = ENDS.get(typed["ends"], ENDS["30"])
    scopes = tuple(typed["scopes"].replace(",", " ").split()) or MAY.get(typed["may"], ("", ()))[1]
    try:
        token, secret = service.mint_token(web.actor(), typed["name"], scopes, ids.now() + days * DAY if days else None)
    except Problem as problem:
        return _refused("token", typed, problem)
    return _page(Typed(), made=token, secret=secret)


@bp.post("/account/tokens/<token_id>/revoke")
def revoke_token(token_id: str) -> Response:
    """End a token at once."""
    service.revoke_token(web.actor(), token_id)
    return web.back(url_for("accounts.account") + "#tokens")


@bp.post("/account/devices/<device_id>/revoke")
def revoke_device(device_id: str) -> Response:
    """Sign one device out."""
    service.revoke_device(web.actor(), device_id)
    return web.back(url_for("accounts.account") + "#devices")


@bp.post("/account/devices/revoke-others")
def revoke_others() -> Response:
    """Sign all devices out but this one."""
    service.revoke_other_devices(web.actor())
    return web.back(url_for("accounts.account") + "#devices")


@bp.post("/account/password")
def change_password() -> Response:
    """Change or set one's password; all other devices are signed out."""
    actor = web.actor()
    try:
        sid = service.change_password(actor, request.form.get("old", ""), request.form.get("password", ""))
    except Problem as problem:
        return _refused("password", {}, problem)
    response = web.back(url_for("accounts.account", changed="password") + "#sign-in")
    if sid is not None:
        web.keep_signed_in(response, sid)
    return response


@bp.post("/account/profile")
def change_profile() -> Response:
    """Change one's name and email."""
    typed = {name: web.form(name) for name in ("name", "email")}
    try:
        service.change_profile(web.actor(), typed["name"], typed["email"] or None)
    except Problem as problem:
        return _refused("profile", typed, problem)
    return web.back(url_for("accounts.account", changed="profile") + "#profile")


@bp.post("/account/approvers")
def add_approver() -> Response:
    """Let somebody answer what one's own agents ask."""
    typed = {"person": web.form("person")}
    try:
        service.lend_answers(web.actor(), typed["person"])
    except Problem as problem:
        return _refused("approver", typed, problem)
    return web.back(url_for("accounts.account") + "#approvers")


@bp.post("/account/approvers/<user_id>/remove")
def remove_approver(user_id: str) -> Response:
    """End that."""
    service.take_back_answers(web.actor(), user_id)
    return web.back(url_for("accounts.account") + "#approvers")


def called(agent: str) -> str:
    """What a program and its system are called, as far as its own words tell: "Firefox on Linux"."""
    program = next((word for word in _PROGRAMS if word in agent), "")
    system = next((word for word in _SYSTEMS if word in agent), "")
    words = [_CALLED.get(word, word) for word in (program, system) if word]
    return " on ".join(words) or agent.split("/", maxsplit=1)[0][:40]


@slots.fill("names")
def fill_names(actor: Actor, targets: Collection[str]) -> dict[str, Any]:
    """What those of the targets are called that are devices."""
    devices = [one for one in targets if one.startswith("dev_")]
    if not devices or not service.may(actor, "audit:read"):
        return {}
    return {device: called(agent) for device, agent in service.programs(actor, devices).items() if agent}


def _ports(tokens: list[Token]) -> list[Port]:
    """The ports that act as one's own tokens, and those that ask whoever comes; not what acts as somebody else."""
    mine = {token.name for token in tokens}
    return [
        Port(port.port, config.DIALECT_NAMES[port.dialect], port.token or "")
        for port in config.current().ports
        if port.token is None or port.token in mine
    ]


def _refused(of: str, typed: dict[str, str], problem: Problem) -> Response:
    """What was typed, beside what is wrong with it; what leads elsewhere is the error page's."""
    if problem.status in (401, 403, 404):
        raise problem
    response = _page(Typed(of, typed, problem), problem.status)
    response.headers.update(web.problem_headers(problem))
    return response


def _page(typed: Typed, status: int = 200, *, made: Token | None = None, secret: str = "") -> Response:
    actor = web.actor()
    is_person = actor.kind == "user"
    mine, lent = service.my_loans(actor)
    answering = {actor.user, *(one.user_id for one in mine)}
    people = service.list_users(actor) if service.may(actor, "users:read") else []
    tokens = service.list_tokens(actor) if service.may(actor, "tokens:read") else None
    context: dict[str, Any] = {
        "identities": [],
        "connectable": [],
        "server_visibility": "",
        "place_names": {},
        **(slots.gather("account", actor) if is_person else {}),
        "visibility": service.look_of(actor.user).visibility if is_person else "",
        "ports": _ports(tokens or []),
        "themes": THEMES,
        "densities": DENSITIES,
        "person": service.me(actor),
        "tokens": tokens,
        "devices": [Row(one) for one in service.list_devices(actor)] if is_person else [],
        "changed": service.password_changed(actor),
        "is_person": is_person,
        "device": actor.device,
        "told": request.args.get("changed", ""),
        "may_be": [{"id": key, "name": words} for key, (words, _scopes) in MAY.items()],
        "ends": [{"id": key, "name": words} for key, (words, _days) in ENDS.items()],
        "approvers": mine,
        "lent": lent,
        "lendable": service.LENDABLE,
        "people": [one for one in people if one.revoked is None and one.id not in answering],
    }
    return web.page("accounts/account.html", status, typed=typed, made=made, secret=secret, **context)
