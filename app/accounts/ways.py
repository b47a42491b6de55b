"""The ways in: what a stranger may know of how people sign in here."""

from __future__ import annotations

from dataclasses import dataclass

from app import config, db
from app.accounts import people


@dataclass(frozen=True)
class Provider:
    """Somebody else who can say who a person is."""

    id: str
    name: str


@dataclass(frozen=True)
class Ways:
    """How people come in; `is_new` while nobody has made the server theirs."""

    is_required: bool
    is_new: bool
    password: bool
    magic_link: bool
    providers: tuple[Provider, ...]


def sign_in_ways() -> Ways:
    """How people can sign in here."""
    is_required = config.current().auth == "required"
    with db.read() as conn:
        is_new = is_required and not people.is_settled(conn)
    return Ways(is_required=is_required, is_new=is_new, password=True, magic_link=False, providers=())
