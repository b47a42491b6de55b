"""The keys that verbs ask for, in words for people who make roles."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Key:
    """A key and what it lets somebody do."""

    key: str
    description: str


_DESCRIPTIONS = {
    "approvals:answer": "Answer what agents ask in one's own sessions.",
    "approvals:read": "See what agents ask, and how it was answered.",
    "audit:read": "Read who did what.",
    "auth.invite": "Invite people, with roles that one holds.",
    "checkpoints:read": "See checkpoints and what changed between them.",
    "checkpoints:write": "Restore a workspace to a checkpoint.",
    "events:read": "Follow what happens, live.",
    "files:read": "Read and search the files of projects.",
    "files:write": "Change the files of projects.",
    "keys:read": "See which model providers one has a key of one's own for.",
    "keys:write": "Keep keys of one's own for model providers.",
    "mcp:read": "See MCP servers and their tools.",
    "mcp:write": "Add, change and start MCP servers.",
    "notifications:read": "See where one is told while one is elsewhere, and what was told.",
    "notifications:write": "Say where and when one is told while one is elsewhere.",
    "others:approvals:answer": "Answer what agents ask in the team's sessions of others.",
    "others:files:write": "Change files in projects that somebody else added.",
    "others:projects:write": "Take off projects that somebody else added, and say who sees them.",
    "others:sessions:run": "Prompt and stop the team's sessions of others.",
    "others:sessions:write": "Rename, archive and delete the team's sessions of others.",
    "others:terminals:write": "Type into and end terminals of others.",
    "processes:read": "See running commands.",
    "processes:write": "Run commands.",
    "projects:read": "See projects and their worktrees.",
    "projects:write": "Add and remove projects, and say who sees them.",
    "sandboxes:read": "See sandboxes.",
    "sandboxes:write": "Make and end sandboxes.",
    "secrets:export": "Read the values of the platform's secrets.",
    "secrets:read": "See the names of secrets.",
    "secrets:write": "Store and delete secrets.",
    "sessions:read": "Read the team's sessions.",
    "sessions:run": "Prompt agents, and stop them.",
    "sessions:share": "Open a session to whoever has its address.",
    "sessions:write": "Begin, rename and delete sessions.",
    "settings:read": "Read settings, modes and providers.",
    "settings:write": "Change settings, modes and providers.",
    "system:read": "See the server's version and health.",
    "system:write": "Change the running server.",
    "terminals:read": "Watch terminals.",
    "terminals:write": "Open terminals and type into them.",
    "tokens:read": "See one's own API tokens.",
    "tokens:write": "Make and end API tokens of one's own.",
    "tool:mcp": "Use the tools of MCP servers.",
    "users:read": "See who is here, and with what roles.",
    "users:write": "Add and remove people, and give roles.",
}

KEYS = tuple(Key(key, description) for key, description in sorted(_DESCRIPTIONS.items()))
