"""The verbs of accounts, all in one place; `require` is the first line of every verb of every room."""

from __future__ import annotations

from app.accounts.authority import may, require
from app.accounts.identity import Identity, authenticate, identify, register_signatures
from app.accounts.people import User, acting_for, create_user, has_team, list_users, local_owner, me, revoke_user
from app.accounts.signin import (
    Device,
    first_start,
    list_devices,
    redeem,
    revoke_device,
    sign_in_code,
    sign_out,
)
from app.accounts.tokens import Token, is_good, lend_token, list_tokens, mint_token, revoke_token, take_back
from app.accounts.ways import Provider, Ways, sign_in_ways
from app.csrf import csrf_token

__all__ = [
    "Device",
    "Identity",
    "Provider",
    "Token",
    "User",
    "Ways",
    "acting_for",
    "authenticate",
    "create_user",
    "csrf_token",
    "first_start",
    "has_team",
    "identify",
    "is_good",
    "lend_token",
    "list_devices",
    "list_tokens",
    "list_users",
    "local_owner",
    "may",
    "me",
    "mint_token",
    "redeem",
    "register_signatures",
    "require",
    "revoke_device",
    "revoke_token",
    "revoke_user",
    "sign_in_code",
    "sign_in_ways",
    "sign_out",
    "take_back",
]
