"""The verbs of notifications: where and when somebody is told, trying it, and what was told; to each their own."""

from __future__ import annotations

import secrets as random
from collections.abc import Iterable
from dataclasses import asdict, replace

import orjson
import sqlalchemy as sa

from app import db, ids, mail, outbound, record
from app.accounts import service as accounts
from app.actor import Actor
from app.errors import Conflict, Invalid, Limited, NotFound
from app.notifications import delivery, holding, models, presence, quiet, rows
from app.notifications.senders import browser, webhook
from app.notifications.senders.scopes import scope_of
from app.notifications.things import OCCASIONS, TEST, Channel, Notice, Rules
from app.secrets import service as secrets
from app.sessions import service as sessions

__all__ = [
    "OCCASIONS",
    "Channel",
    "Notice",
    "Rules",
    "add_browser",
    "add_mail",
    "add_webhook",
    "begin_looking",
    "change_channel",
    "change_rules",
    "find_notice",
    "list_channels",
    "list_notices",
    "public_key",
    "remove_channel",
    "rules_of",
    "start",
    "stop",
    "test",
    "zones",
]
MOST_CHANNELS, MOST_TESTS = 20, 10
LONGEST_NAME, LONGEST_ADDRESS = 100, 2000
DELAYS = (0, 15, 60, 300)
SHOWN = 50
# The lengths of a browser's keys: an uncompressed point of P-256, and its secret.
_POINT, _SECRET = 65, 16

start = delivery.start
zones = quiet.zones
stop = delivery.stop


def list_channels(actor: Actor | None) -> list[Channel]:
    """The actor's own channels, oldest first."""
    actor = accounts.require(actor, "notifications:read")
    with db.read() as connection:
        return rows.channels(connection, models.channel.c.owner == actor.user)


def add_webhook(actor: Actor | None, name: str, url: str) -> tuple[Channel, str]:
    """Have an address told by POST, and give, this once, the secret that signs it. Raises Invalid, Conflict."""
    actor = accounts.require(actor, "notifications:write")
    outbound.check(url)
    key = random.token_urlsafe(32)
    return _add(actor, "webhook", name, url, {webhook.SECRET: key}), key


def add_browser(actor: Actor | None, name: str, endpoint: str, p256dh: str, auth: str) -> Channel:
    """Have a browser told, by the address and keys of its subscription; one that is there already is renewed.

    Raises Invalid for keys that are none.
    """
    actor = accounts.require(actor, "notifications:write")
    outbound.check(endpoint)
    _check_key("p256dh", p256dh, _POINT)
    _check_key("auth", auth, _SECRET)
    with db.transaction() as connection:
        for one in rows.channels(connection, models.channel.c.owner == actor.user, models.channel.c.kind == "browser"):
            if one.address == endpoint:
                _forget(connection, one)
        kept = {"endpoint": endpoint, "p256dh": p256dh, "auth": auth}
        return _add(actor, "browser", name, endpoint, {browser.SUBSCRIPTION: orjson.dumps(kept).decode()})


def add_mail(actor: Actor | None) -> Channel:
    """Have the actor's own address told by mail. Raises Invalid without one, or where no mail is sent; Conflict."""
    actor = accounts.require(actor, "notifications:write")
    person = accounts.me(actor)
    if not mail.is_on():
        raise Invalid("This server sends no mail: its operator sets SIGNALCABIN_SMTP_URL.", "mail")
    if not person.email:
        raise Invalid("You have no email address here. Set it on your account's page.", "mail")
    with db.read() as connection:  # it goes to the address that one has at the time, so one is all
        if rows.channels(connection, models.channel.c.owner == actor.user, models.channel.c.kind == "mail"):
            raise Conflict("This address is told already.")
    return _add(actor, "mail", "Mail", person.email, {})


def change_channel(actor: Actor | None, channel_id: str, occasions: Iterable[str]) -> Channel:
    """Say of what a channel tells. Raises NotFound."""
    actor = accounts.require(actor, "notifications:write")
    wanted = [one for one in OCCASIONS if one in set(occasions)]
    with db.transaction() as connection:
        before = _mine(connection, actor, channel_id)
        if before.occasions != wanted:
            at = models.channel.c.id == channel_id
            connection.execute(models.channel.update().where(at).values(occasions=wanted))
            record.audit(connection, actor, "notifications.change", channel_id, {"occasions": wanted})
    return replace(before, occasions=wanted)


def remove_channel(actor: Actor | None, channel_id: str) -> None:
    """Tell nothing there any more. Raises NotFound."""
    actor = accounts.require(actor, "notifications:write")
    with db.transaction() as connection:
        one = _mine(connection, actor, channel_id)
        _forget(connection, one)
        record.audit(connection, actor, "notifications.remove", channel_id, {"kind": one.kind, "name": one.name})


def test(actor: Actor | None, channel_id: str) -> Notice:
    """Tell a word over a channel now, whoever looks. Raises NotFound, Limited: nobody is flooded from here."""
    actor = accounts.require(actor, "notifications:write")
    now, new_id = ids.now(), ids.random("ntc")
    with db.transaction() as connection:
        one = _mine(connection, actor, channel_id)
        lately = models.notice.c.occasion == TEST, models.notice.c.created > now - 60_000
        if len(rows.notices(connection, models.notice.c.owner == actor.user, *lately)) >= MOST_TESTS:
            raise Limited(f"At most {MOST_TESTS} tests are sent in a minute.", 60)
        connection.execute(models.channel.update().where(models.channel.c.id == one.id).values(ended=""))
        new = Notice(
            new_id, actor.user, one.id, TEST, new_id, "", f"{one.name} is told", "queued", 0, now, "", now, None
        )
        rows.add(connection, new)
        record.audit(connection, actor, "notifications.test", one.id, {"kind": one.kind, "name": one.name})
    delivery.plan(new)
    return new


def rules_of(actor: Actor | None) -> Rules:
    """When the actor is told."""
    actor = accounts.require(actor, "notifications:read")
    with db.read() as connection:
        return rows.rules_of(connection, actor.user)


def change_rules(actor: Actor | None, rules: Rules) -> None:
    """Say when to be told, and when not. Raises Invalid for a delay that is none of DELAYS, or hours that are none."""
    actor = accounts.require(actor, "notifications:write")
    if rules.delay not in DELAYS:
        raise Invalid(f"The delay is one of {', '.join(map(str, DELAYS))} seconds.", "delay")
    quiet.check(rules)
    with db.transaction() as connection:
        if rows.rules_of(connection, actor.user) == rules:
            return
        connection.execute(models.rules.delete().where(models.rules.c.owner == actor.user))
        connection.execute(models.rules.insert().values(owner=actor.user, **asdict(rules)))
        record.audit(connection, actor, "notifications.rules", actor.user, asdict(rules))
        moved = holding.move(connection, actor.user, rules, ids.now())
    delivery.plan_held(moved)


def list_notices(actor: Actor | None) -> list[Notice]:
    """What the actor was told lately, or was not and why; newest first."""
    actor = accounts.require(actor, "notifications:read")
    with db.read() as connection:
        return _shown(actor, rows.notices(connection, models.notice.c.owner == actor.user, limit=SHOWN))


def find_notice(actor: Actor | None, notice_id: str) -> Notice:
    """One of them. Raises NotFound."""
    actor = accounts.require(actor, "notifications:read")
    with db.read() as connection:
        this = models.notice.c.id == notice_id, models.notice.c.owner == actor.user
        found = _shown(actor, rows.notices(connection, *this))
    if not found:
        raise NotFound("notice", notice_id)
    return found[0]


def public_key(actor: Actor | None) -> str:
    """The key that browsers subscribe with."""
    accounts.require(actor, "notifications:read")
    return browser.public_key()


def begin_looking(actor: Actor) -> dict[str, object]:
    """A page of the actor's is in sight; by a name, what is called once it no longer is."""
    accounts.require(actor, "events:read")
    return {"presence": presence.begin(actor.user)}


def _end_of_person(connection: sa.Connection, user: str) -> None:
    """Forget where a person is told, with what is secret of it, in the transaction that removes them."""
    for one in rows.channels(connection, models.channel.c.owner == user):
        _forget(connection, one)
    for table in (models.rules, models.presence):
        connection.execute(table.delete().where(table.c.owner == user))


def _shown(actor: Actor, found: list[Notice]) -> list[Notice]:
    """Those about sessions that the actor may still read, and those about none."""
    known = sessions.labels(actor, list({one.session for one in found if one.session}))
    return [one for one in found if not one.session or one.session in known]


def _add(actor: Actor, kind: str, name: str, address: str, kept: dict[str, str]) -> Channel:
    name = " ".join(name.split())
    if not 0 < len(name) <= LONGEST_NAME:
        raise Invalid(f"A name has 1 to {LONGEST_NAME} characters.", "name")
    if len(address) > LONGEST_ADDRESS:
        raise Invalid(f"An address has at most {LONGEST_ADDRESS} characters.", "url")
    new = Channel(ids.random("ntf"), actor.user, kind, name, address, list(OCCASIONS), ids.now(), "")
    with db.transaction() as connection:
        if len(rows.channels(connection, models.channel.c.owner == actor.user)) >= MOST_CHANNELS:
            raise Invalid(f"There are at most {MOST_CHANNELS} channels.", "name")
        try:
            with connection.begin_nested():
                connection.execute(models.channel.insert().values(**asdict(new)))
        except sa.exc.IntegrityError:
            raise Conflict("This address is told already.") from None
        for what, value in kept.items():
            secrets.hold(scope_of(new.id), what, value)
        record.audit(connection, actor, "notifications.add", new.id, {"kind": kind, "name": name})
    return new


def _forget(connection: sa.Connection, one: Channel) -> None:
    """Remove a channel with what is secret of it; what was told over it stays in the log of its owner."""
    connection.execute(models.channel.delete().where(models.channel.c.id == one.id))
    secrets.let_go(scope_of(one.id))


def _mine(connection: sa.Connection, actor: Actor, channel_id: str) -> Channel:
    found = rows.channels(connection, models.channel.c.id == channel_id, models.channel.c.owner == actor.user)
    if not found:
        raise NotFound("channel", channel_id)
    return found[0]


def _check_key(name: str, text: str, length: int) -> None:
    from app.notifications.senders.encrypting import decoded

    try:
        is_one = len(decoded(text)) == length
    except ValueError:
        is_one = False
    if not is_one:
        raise Invalid("These are not the keys of a browser's subscription.", name)


accounts.register_end(_end_of_person)
