"""The tables of notifications: where somebody is told, when, what was told, and who was last seen looking."""

from __future__ import annotations

import sqlalchemy as sa

from app import db

channel = sa.Table(
    "notification_channel",
    db.metadata,
    sa.Column("id", sa.String(40), primary_key=True),
    sa.Column("owner", sa.String(40), nullable=False, index=True),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("name", sa.String(100), nullable=False),
    # Where it leads, as people may see it; what is secret of it is held sealed under the channel's id.
    sa.Column("address", sa.String(2000), nullable=False),
    sa.Column("occasions", db.Json, nullable=False),
    sa.Column("created", sa.BigInteger, nullable=False),
    # Why nothing is sent there any more, "" while it works.
    sa.Column("ended", sa.String(400), nullable=False),
    sa.UniqueConstraint("owner", "kind", "address"),
)

rules = sa.Table(
    "notification_rules",
    db.metadata,
    sa.Column("owner", sa.String(40), primary_key=True),
    sa.Column("away_only", sa.Boolean, nullable=False),
    sa.Column("others", sa.Boolean, nullable=False),
    sa.Column("delay", sa.Integer, nullable=False),
    # Quiet hours: minutes after midnight in the zone, and the days on which they begin, "1" Monday to "7" Sunday.
    sa.Column("quiet", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("quiet_from", sa.Integer, nullable=False, server_default="1200"),
    sa.Column("quiet_to", sa.Integer, nullable=False, server_default="450"),
    sa.Column("quiet_days", sa.String(7), nullable=False, server_default="1234567"),
    sa.Column("quiet_lets", sa.Boolean, nullable=False, server_default=sa.true()),
    sa.Column("zone", sa.String(64), nullable=False, server_default="UTC"),
)

notice = sa.Table(
    "notification",
    db.metadata,
    sa.Column("id", sa.String(40), primary_key=True),
    sa.Column("owner", sa.String(40), nullable=False),
    sa.Column("channel", sa.String(40), nullable=False),
    sa.Column("occasion", sa.String(16), nullable=False),
    # What it is about: an ask, or a run. Nobody is told of it twice by the same channel.
    sa.Column("about", sa.String(64), nullable=False),
    sa.Column("session", sa.String(40), nullable=False, index=True),
    sa.Column("title", sa.String(200), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("tries", sa.Integer, nullable=False),
    sa.Column("due", sa.BigInteger, nullable=False),
    sa.Column("why", sa.String(400), nullable=False),
    sa.Column("created", sa.BigInteger, nullable=False),
    sa.Column("settled", sa.BigInteger),
    # The summary that it was told in, "" for none.
    sa.Column("joined", sa.String(40), nullable=False, server_default="", index=True),
    sa.UniqueConstraint("channel", "about"),
    sa.Index("notification_due", "state", "due"),
    sa.Index("notification_owner", "owner", "created"),
)

presence = sa.Table(
    "notification_presence",
    db.metadata,
    sa.Column("owner", sa.String(40), primary_key=True),
    sa.Column("seen", sa.BigInteger, nullable=False),
)
