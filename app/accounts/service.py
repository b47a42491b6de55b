"""The verbs of accounts, all in one place; `require` is the first line of every verb of every room."""

from __future__ import annotations

from app.accounts.authority import may, require
from app.accounts.giving import (
    Assignment,
    assign_role,
    create_role,
    delete_role,
    list_assignments,
    revoke_role,
    set_roles,
    update_role,
)
from app.accounts.identity import Identity, authenticate, forget, identify, register_signatures
from app.accounts.keys import Key
from app.accounts.people import User, acting_for, create_user, has_team, list_users, local_owner, me, revoke_user
from app.accounts.reasons import (
    Effective,
    Reason,
    Source,
    available_permissions,
    list_roles,
    my_permissions,
    permissions_of,
    why,
)
from app.accounts.roles import Role
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
    "Assignment",
    "Device",
    "Effective",
    "Identity",
    "Key",
    "Provider",
    "Reason",
    "Role",
    "Source",
    "Token",
    "User",
    "Ways",
    "acting_for",
    "assign_role",
    "authenticate",
    "available_permissions",
    "create_role",
    "create_user",
    "csrf_token",
    "delete_role",
    "first_start",
    "forget",
    "has_team",
    "identify",
    "is_good",
    "lend_token",
    "list_assignments",
    "list_devices",
    "list_roles",
    "list_tokens",
    "list_users",
    "local_owner",
    "may",
    "me",
    "mint_token",
    "my_permissions",
    "permissions_of",
    "redeem",
    "register_signatures",
    "require",
    "revoke_device",
    "revoke_role",
    "revoke_token",
    "revoke_user",
    "set_roles",
    "sign_in_code",
    "sign_in_ways",
    "sign_out",
    "take_back",
    "update_role",
    "why",
]
