"""What invites speak of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from app.accounts.service import Tokens, User
from app.actor import Actor
from app.errors import Unauthenticated

Kind = Literal["invite", "link", "signin"]
State = Literal["open", "ended", "used", "revoked"]
MINUTE = 60 * 1000
# The cookie that holds a link while its page is shown.
COOKIE = "link"
SIGN_IN_LIFE = 10 * MINUTE
INVITE_LIFE = 72 * 60 * MINUTE


class Gone(Unauthenticated):
    """A link that lets nobody in: it says no more, whatever is wrong with it."""

    code = "LINK_GONE"

    def __init__(self) -> None:
        super().__init__("This link was used already, has ended, or is not whole. Ask for a new one.")


@dataclass(frozen=True)
class Invite:
    """A link without its secret; mail is "", queued, sent or failed, mail_said why; times in unix ms."""

    id: str
    kind: Kind
    email: str
    roles: tuple[str, ...]
    made_by: str
    redirect: str
    created: int
    expires: int
    used: int | None
    revoked: int | None
    mail: str
    mail_said: str
    maker: str = ""
    state: State = "open"


@dataclass(frozen=True)
class Made:
    """A new link, with its secret this once."""

    invite: Invite
    secret: str


@dataclass(frozen=True)
class Shown:
    """What a link says to who has it: whether they are here already, and what they may then do."""

    invite: Invite
    is_here: bool
    may: tuple[str, ...]


@dataclass(frozen=True)
class Accepted:
    """Who came in by a link: in a browser an actor and the cookie's secret, else a client's tokens."""

    invite: Invite
    person: User
    opened: tuple[Actor, str] | None = None
    tokens: Tokens | None = None
