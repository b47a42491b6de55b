"""How a notice leaves: one module for each kind of channel, each with `send(channel, told)`."""

from __future__ import annotations

from app.notifications.senders import browser, mail, webhook
from app.notifications.senders.outcome import Gone, Later, Refused
from app.notifications.senders.told import Told
from app.notifications.things import Channel

__all__ = ["Gone", "Later", "Refused", "Told", "send"]
_SENDERS = {"browser": browser.send, "mail": mail.send, "webhook": webhook.send}


def send(channel: Channel, told: Told) -> None:
    """Hand it over. Raises Later if it may be tried again, Refused if not, Gone if nothing ever will get there."""
    _SENDERS[channel.kind](channel, told)
