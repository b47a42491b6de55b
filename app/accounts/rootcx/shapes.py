"""How RootCX spells a person, and what a sign-in gives."""

from __future__ import annotations

from typing import Any

from app.accounts.service import Tokens, User
from app.dialects import rootcx


def person(user: User) -> dict[str, Any]:
    """A person; whoever has no email has an empty one, for clients that know no other form."""
    return {
        "id": user.id,
        "email": user.email or "",
        "displayName": user.name,
        "createdAt": rootcx.time(user.created),
    }


def tokens(given: Tokens) -> dict[str, Any]:
    """What a sign-in gives; `expiresIn` in seconds, of the access token."""
    return {"accessToken": given.access, "refreshToken": given.refresh, "expiresIn": given.expires_in}
