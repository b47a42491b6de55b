"""Links by mail, from the background: tried three times, and told on the page when it fails.

Until a mail is out the vault has its link, so that a restart loses none.
"""

from __future__ import annotations

import logging

from app import config, db, dispatch, ids, mail, record
from app.accounts import service as accounts
from app.actor import SYSTEM
from app.errors import NotFound
from app.invites.models import link as table
from app.invites.rows import get
from app.invites.things import Invite, Made
from app.secrets import service as secrets

WORK = "invites.mail"
TRIES = 3
LINK = "link"
_SIGN_IN = """Somebody asked to sign in to {where} as {email}.
If that was you, open this link and press the button. It works once, within 10 minutes.

{url}

If it was not you, leave this mail: nothing happens.
"""
_INVITE = """{name} invites {email} to {where},
where this team's coding agents run. Open this link and press the button. It works once, within 3 days.

{url}

If you know nothing of this, leave this mail: nothing happens.
"""
_logger = logging.getLogger(__name__)


def queue(made: Made) -> None:
    """Have a link mailed, within the caller's transaction; where mail is off nothing is done."""
    if not mail.is_on():
        return
    with db.transaction() as conn:
        secrets.hold(_scope(made.invite.id), LINK, made.secret)
        conn.execute(table.update().where(table.c.id == made.invite.id).values(mail="queued"))
        dispatch.wake(WORK, made.invite.id)


@dispatch.actor(WORK)
def deliver(invite_id: str) -> None:
    """Send the mail of one link that waits for it; a second one of the same at once does nothing."""
    with db.transaction() as conn:
        mine = table.c.id == invite_id, table.c.mail == "queued"
        taken = table.update().where(*mine).values(mail="sending", mail_tries=table.c.mail_tries + 1)
        if not conn.execute(taken).rowcount:
            return
    try:
        with db.read() as conn:
            invite = get(conn, invite_id)
        subject, text = _written(invite, secrets.held(_scope(invite_id), LINK))
        mail.send(invite.email, subject, text)
    except NotFound:
        _settle(invite_id, "failed", "Its link is gone; send it again.")
    except mail.Unsent as problem:
        _logger.warning("mail of %s did not go out: %s", invite_id, problem)
        _settle(invite_id, "", str(problem))
    except Exception:
        _settle(invite_id, "", "The server could not send it; its log says why.")
        raise
    else:
        _settle(invite_id, "sent", "")


@dispatch.every(20)
def sweep() -> None:
    """Send what a restart left behind, and what shall be tried again."""
    with db.read() as conn:
        waiting = conn.execute(table.select().where(table.c.mail == "queued")).all()
    for row in waiting:
        dispatch.wake(WORK, row.id)


def start() -> None:
    """At start-up: what was under way when the server ended is tried again."""
    with db.transaction() as conn:
        conn.execute(table.update().where(table.c.mail == "sending").values(mail="queued"))


def _settle(invite_id: str, state: str, said: str) -> None:
    """Write down how it went; "" for the state means: once more, unless that was the last try."""
    with db.transaction() as conn:
        row = conn.execute(table.select().where(table.c.id == invite_id).with_for_update()).first()
        if row is None or row.mail != "sending":
            return
        again = "queued" if row.mail_tries < TRIES and row.expires > ids.now() else "failed"
        state = state or again
        conn.execute(table.update().where(table.c.id == invite_id).values(mail=state, mail_said=said[:500]))
        if state != "queued":
            secrets.let_go(_scope(invite_id))
            result = "done" if state == "sent" else "failed"
            record.audit(conn, SYSTEM, "invite.mail", invite_id, {"said": said[:200]}, result)


def _written(invite: Invite, secret: str) -> tuple[str, str]:
    where = config.current().url
    url = f"{where}/join?token={secret}"
    if invite.kind == "signin":
        return "Sign in to Signalcabin", _SIGN_IN.format(where=where, email=invite.email, url=url)
    maker = accounts.find_person(invite.made_by)
    name = maker.name if maker else "Somebody"
    return f"{name} invites you to Signalcabin", _INVITE.format(name=name, where=where, email=invite.email, url=url)


def _scope(invite_id: str) -> str:
    return f"invite:{invite_id}"
