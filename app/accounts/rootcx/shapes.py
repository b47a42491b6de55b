"""How RootCX spells a person."""

from __future__ import annotations

from typing import Any

from app.accounts.service import User
from app.dialects import rootcx


def person(user: User) -> dict[str, Any]:
    """A person; whoever has no email has an empty one, for clients that know no other form."""
    return {
        "id": user.id,
        "email": user.email or "",
        "displayName": user.name,
        "createdAt": rootcx.time(user.created),
    }
