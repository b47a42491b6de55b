"""The verbs of accounts, all in one place; `require` is the first line of every verb of every room."""

from __future__ import annotations

from app.accounts.admission import (
    OWNER,
    check_pace,
    covers,
    find_person,
    find_person_by_email,
    give_roles,
    holds,
    is_role,
    let_client_in,
    let_in,
    note_failure,
)
from app.accounts.authority import may, require
from app.accounts.clients import Tokens, log_in, log_out, refresh
from app.accounts.devices import Device, list_devices, revoke_device, revoke_other_devices, sign_out
from app.accounts.digests import digest
from app.accounts.fresh import Stale, is_fresh, prove_by_code, require_fresh
from app.accounts.giving import (
    Assignment,
    assign_role,
    create_role,
    delete_role,
    list_assignments,
    revoke_role,
    set_permissions,
    set_roles,
    update_role,
)
from app.accounts.handover import hand_over, take_over
from app.accounts.identity import Identity, authenticate, forget, identify, register_signatures
from app.accounts.keys import KEYS, Key
from app.accounts.members import Member, list_members
from app.accounts.passwords import WrongPassword, change_password, password_changed, prove, reset_password, sign_in
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
from app.accounts.reasons import (
    Cell,
    Effective,
    Reason,
    Source,
    available_permissions,
    list_roles,
    my_permissions,
    permissions_of,
    role_matrix,
    why,
)
from app.accounts.registration import Newcomer, claim, register
from app.accounts.roles import Role
from app.accounts.signin import first_start, redeem, sign_in_code
from app.accounts.tokens import Token, is_good, lend_token, list_tokens, mint_token, revoke_token, take_back
from app.accounts.ways import Provider, Ways, register_providers, sign_in_ways
from app.csrf import csrf_token

__all__ = [
    "KEYS",
    "OWNER",
    "Assignment",
    "Cell",
    "Device",
    "Effective",
    "Identity",
    "Key",
    "Member",
    "Newcomer",
    "Provider",
    "Reason",
    "Role",
    "Source",
    "Stale",
    "Token",
    "Tokens",
    "User",
    "Ways",
    "WrongPassword",
    "acting_for",
    "assign_role",
    "authenticate",
    "available_permissions",
    "change_password",
    "change_profile",
    "check_pace",
    "claim",
    "covers",
    "create_role",
    "create_user",
    "csrf_token",
    "delete_role",
    "digest",
    "find_person",
    "find_person_by_email",
    "first_start",
    "forget",
    "give_roles",
    "hand_over",
    "has_team",
    "holds",
    "identify",
    "is_fresh",
    "is_good",
    "is_role",
    "lend_token",
    "let_client_in",
    "let_in",
    "list_assignments",
    "list_devices",
    "list_members",
    "list_roles",
    "list_tokens",
    "list_users",
    "local_owner",
    "log_in",
    "log_out",
    "may",
    "me",
    "mint_token",
    "my_permissions",
    "note_failure",
    "password_changed",
    "permissions_of",
    "prove",
    "prove_by_code",
    "redeem",
    "refresh",
    "register",
    "register_providers",
    "register_signatures",
    "require",
    "require_fresh",
    "reset_password",
    "revoke_device",
    "revoke_other_devices",
    "revoke_role",
    "revoke_token",
    "revoke_user",
    "role_matrix",
    "set_permissions",
    "set_roles",
    "sign_in",
    "sign_in_code",
    "sign_in_ways",
    "sign_out",
    "take_back",
    "take_over",
    "update_role",
    "user_of",
    "why",
]
