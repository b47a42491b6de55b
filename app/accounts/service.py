"""The verbs of accounts, all in one place; `require` is the first line of every verb of every room."""

from __future__ import annotations

from app.accounts.authority import may, require
from app.accounts.clients import Tokens, log_in, log_out, refresh
from app.accounts.devices import Device, list_devices, revoke_device, revoke_other_devices, sign_out
from app.accounts.fresh import Stale, is_fresh, prove_by_code, require_fresh
from app.accounts.identity import Identity, authenticate, identify, register_signatures
from app.accounts.passwords import (
    WrongPassword,
    change_password,
    password_changed,
    prove,
    reset_password,
    sign_in,
)
from app.accounts.people import (
    User,
    acting_for,
    create_user,
    has_team,
    list_users,
    local_owner,
    me,
    revoke_user,
    user_of,
)
from app.accounts.profile import change_profile
from app.accounts.registration import Newcomer, claim, register
from app.accounts.signin import first_start, redeem, sign_in_code
from app.accounts.tokens import Token, is_good, lend_token, list_tokens, mint_token, revoke_token, take_back
from app.accounts.ways import Provider, Ways, sign_in_ways
from app.csrf import csrf_token

__all__ = [
    "Device",
    "Identity",
    "Newcomer",
    "Provider",
    "Stale",
    "Token",
    "Tokens",
    "User",
    "Ways",
    "WrongPassword",
    "acting_for",
    "authenticate",
    "change_password",
    "change_profile",
    "claim",
    "create_user",
    "csrf_token",
    "first_start",
    "has_team",
    "identify",
    "is_fresh",
    "is_good",
    "lend_token",
    "list_devices",
    "list_tokens",
    "list_users",
    "local_owner",
    "log_in",
    "log_out",
    "may",
    "me",
    "mint_token",
    "password_changed",
    "prove",
    "prove_by_code",
    "redeem",
    "refresh",
    "register",
    "register_signatures",
    "require",
    "require_fresh",
    "reset_password",
    "revoke_device",
    "revoke_other_devices",
    "revoke_token",
    "revoke_user",
    "sign_in",
    "sign_in_code",
    "sign_in_ways",
    "sign_out",
    "take_back",
    "user_of",
]
