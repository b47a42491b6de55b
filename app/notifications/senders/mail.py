"""Mail: what a notice says and its address, by the server's own SMTP server."""

from __future__ import annotations

from app import config, mail
from app.notifications.senders.outcome import Later
from app.notifications.senders.told import Told
from app.notifications.things import Channel

WHERE = "Where and when you are told: {}/account/notifications"


def send(channel: Channel, told: Told) -> None:
    """One mail to the person's own address."""
    foot = WHERE.format(config.current().url)
    try:
        items = "".join(f"{one.headline}: {one.title}\n{one.url}\n\n" for one in told.items)
        body = f"{told.title}\n\n{items}{told.url}\n\n{foot}\n"
        mail.send(channel.address, f"{told.headline}: {told.title}", body)
    except mail.Unsent as unsent:
        raise Later(str(unsent)) from unsent
