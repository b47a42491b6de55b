"""The ways in: what a stranger may know of how people sign in here."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import sqlalchemy as sa

from app import config, db, mail
from app.accounts import grants, people
from app.accounts.models import password


@dataclass(frozen=True)
class Provider:
    """Somebody else who can say who a person is."""

    id: str
    name: str


@dataclass(frozen=True)
class Ways:
    """How people come in; `is_new` while nobody has made the server theirs, `mails` where it mails sign-in links."""

    is_required: bool
    is_new: bool
    password: bool
    magic_link: bool
    providers: tuple[Provider, ...]
    mails: bool = False


_find_providers: Callable[[], Iterable[Provider]] = tuple


def register_providers(find: Callable[[], Iterable[Provider]]) -> None:
    """Say who knows the providers that people can sign in with."""
    global _find_providers
    _find_providers = find


def sign_in_ways() -> Ways:
    """How people can sign in here."""
    is_required = config.current().auth == "required"
    with db.read() as conn:
        is_new = is_required and not people.is_settled(conn)
    providers, mails = tuple(_find_providers()), mail.is_on()
    return Ways(is_required, is_new, password=True, magic_link=True, providers=providers, mails=mails)


def who_governs() -> list[str]:
    """The ids of those who may change people and their rights."""
    with db.read() as conn:
        return [one.id for one in people.everybody(conn) if grants.covers(one.grants, "users:write")]


def have_a_password(user_ids: list[str]) -> bool:
    """Whether one of these people has a password to sign in with."""
    with db.read() as conn:
        return bool(conn.execute(sa.select(sa.exists().where(password.c.user_id.in_(user_ids)))).scalar())
