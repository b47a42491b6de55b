"""The verbs of invites, all in one place."""

from __future__ import annotations

from app.invites.entering import accept, ask, decline, look
from app.invites.mailing import start
from app.invites.making import generate, invite, list_invites, resend, revoke, roles_to_give, url_of
from app.invites.things import COOKIE, Accepted, Gone, Invite, Made, Shown
from app.mail import is_on as mails

__all__ = [
    "COOKIE",
    "Accepted",
    "Gone",
    "Invite",
    "Made",
    "Shown",
    "accept",
    "ask",
    "decline",
    "generate",
    "invite",
    "list_invites",
    "look",
    "mails",
    "resend",
    "revoke",
    "roles_to_give",
    "start",
    "url_of",
]
