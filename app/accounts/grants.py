"""Grants: keys such as `sessions:write`, their `:*` wildcards, and the built-in roles that hold them."""

from __future__ import annotations

import re
from collections.abc import Iterable

EVERYTHING = "*"
OTHERS = "others:"

# RootCX's keys, which may end in something that only looks like a wildcard: `app:crm:contacts.*` means itself alone.
_ROOTCX = re.compile(r"[a-z0-9_:.*]{1,200}")
_FORM = re.compile(r"\*|[a-z][a-z0-9_.-]*(?::[A-Za-z0-9_.-]+)*(?::\*)?")

_BASE = ("system:read", "events:read")
_VIEWER = (
    *_BASE,
    *(
        f"{noun}:read"
        for noun in (
            *("sessions", "approvals", "projects", "files", "checkpoints", "processes", "terminals"),
            *("settings", "usage", "users", "mcp", "plugins", "workers", "jobs", "sandboxes"),
        )
    ),
)
_MEMBER = (
    *_VIEWER,
    *("sessions:*", "approvals:*", "files:*", "checkpoints:*", "processes:*", "terminals:*"),
    *("jobs:*", "notifications:*", "tokens:*", "tool:*", "sandboxes:*", "keys:*", f"{OTHERS}files:*"),
)
_ADMIN = (
    *_MEMBER,
    *("auth.invite", "projects:*", "settings:*", "users:*", "audit:read", "secrets:*", "usage:*", "mcp:*", "plugins:*"),
    *("workers:*", "channels:*", "webhooks:*", "app:*", "storage:*", "integrations:*", "deploy:*"),
    *("system:*", "events:*", f"{OTHERS}*"),
)

ROLES: dict[str, tuple[str, ...]] = {
    "owner": (EVERYTHING,),
    "admin": _ADMIN,
    "member": _MEMBER,
    "viewer": _VIEWER,
    "base": _BASE,
}

# What RootCX's own keys are here.
_ROOTCX_GRANTS = {"admin:secrets.manage": "secrets:*", "admin:audit.read": "audit:read"}

# What an agent could use to widen its own rights, whatever its owner holds: to answer, to configure, to let others in,
# and to run commands but by its tools, which ask.
_NEVER_FOR_AGENTS = frozenset(
    (
        *("approvals:answer", "tokens:write", "settings:write", "users:write", "mcp:write", "plugins:write"),
        "notifications:write",
        *("sessions:share", "projects:write", "terminals:write", "processes:write", "system:write"),
        *("workers:write", "webhooks:write", "channels:write", "integrations:write", "audit:read", "auth.invite"),
    )
)


def is_grant(text: str) -> bool:
    """Whether the text has the form of a grant: `*`, `noun:verb`, or a prefix that ends in `:*`."""
    return len(text) <= 200 and _FORM.fullmatch(text) is not None


def is_permission(text: str) -> bool:
    """Whether a role can hold the text: a grant, or a key as RootCX's apps name them."""
    return is_grant(text) or _ROOTCX.fullmatch(text) is not None


def covers(grants: Iterable[str], key: str) -> bool:
    """Whether one of the grants holds the key, which may itself be a wildcard."""
    key = _ours(key)
    return any(_matches(_ours(grant), key) for grant in grants)


def covers_all(grants: tuple[str, ...], keys: Iterable[str]) -> bool:
    """Whether the grants hold every one of the keys."""
    return all(covers(grants, key) for key in keys)


def meet(held: Iterable[str], scopes: Iterable[str]) -> tuple[str, ...]:
    """What both sides hold: the narrower of each overlapping pair, and none that another one includes."""
    narrow, wide = tuple(scopes), tuple(held)
    common = [scope for scope in narrow if covers(wide, scope)]
    common += [grant for grant in wide if covers(narrow, grant)]
    distinct: dict[str, str] = {}
    for key in common:
        distinct.setdefault(_ours(key), key)
    return tuple(key for ours, key in distinct.items() if not covers(distinct.keys() - {ours}, ours))


def closed_to_agents(key: str) -> bool:
    """Whether no agent may ever use the key, not even for an owner."""
    return key.removeprefix(OTHERS) in _NEVER_FOR_AGENTS or key.startswith(("secrets:", "keys:"))


def reading(key: str) -> str:
    """The key that reads what the given key acts on: `sessions:run` gives `sessions:read`."""
    cut = max(key.rfind(":"), key.rfind("."))
    return key[: cut + 1] + "read"


def is_reading(key: str) -> bool:
    """Whether the key only reads."""
    return key == reading(key)


def _ours(key: str) -> str:
    return _ROOTCX_GRANTS.get(key, key)


def _matches(grant: str, key: str) -> bool:
    if grant == EVERYTHING:
        return True
    if grant.endswith(":*"):
        return key.startswith(grant[:-1])
    return grant == key
