"""The table of links that let somebody in."""

from __future__ import annotations

import sqlalchemy as sa

from app import db

link = sa.Table(
    "sign_in_link",
    db.metadata,
    sa.Column("id", sa.String(40), primary_key=True),
    # invite: asks somebody to join; link: made by a program; signin: asked for by the person.
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("email", sa.String(255), nullable=False, index=True),
    sa.Column("roles", db.Json, nullable=False),
    sa.Column("hash", sa.String(64), nullable=False, unique=True),
    sa.Column("made_by", sa.String(40), nullable=False, index=True),
    sa.Column("redirect", sa.String(2000), nullable=False),
    sa.Column("address", sa.String(64), nullable=False),
    sa.Column("created", sa.BigInteger, nullable=False),
    sa.Column("expires", sa.BigInteger, nullable=False, index=True),
    sa.Column("used", sa.BigInteger),
    sa.Column("revoked", sa.BigInteger),
    # "" where none is sent; queued, sent or failed, and why.
    sa.Column("mail", sa.String(16), nullable=False),
    sa.Column("mail_said", sa.String(500), nullable=False),
    sa.Column("mail_tries", sa.Integer, nullable=False),
)
