"""The tables of accounts: users, roles, loans, passwords, tokens, signed-in browsers and clients, codes, failures."""

from __future__ import annotations

import sqlalchemy as sa

from app import db

user = sa.Table(
    "user",
    db.metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("name", sa.String, nullable=False),
    sa.Column("email", sa.String),
    # "first" for the person the installation belongs to, so that two starts at once cannot make two.
    sa.Column("seat", sa.String, unique=True),
    sa.Column("created", sa.BigInteger, nullable=False),
    sa.Column("signed_in", sa.BigInteger),
    sa.Column("revoked", sa.BigInteger),
)

sa.Index(
    "ix_user_living_email",
    user.c.email,
    unique=True,
    sqlite_where=user.c.revoked.is_(None),
    postgresql_where=user.c.revoked.is_(None),
)

# Roles that were made here; the built-in ones stand in grants.ROLES.
role = sa.Table(
    "role",
    db.metadata,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("description", sa.String(500), nullable=False),
    sa.Column("inherits", db.Json, nullable=False),
    sa.Column("permissions", db.Json, nullable=False),
    sa.Column("created", sa.BigInteger, nullable=False),
)

# Who holds which role: nobody has rights by anything else.
role_assignment = sa.Table(
    "role_assignment",
    db.metadata,
    sa.Column("user_id", sa.String, sa.ForeignKey("user.id"), primary_key=True),
    sa.Column("role", sa.String(64), primary_key=True),
    sa.Column("assigned", sa.BigInteger, nullable=False),
    sa.Index("ix_role_assignment_role", "role"),
)

# What somebody was lent beside their roles: a key over the things in one project, or over those of one person.
loan = sa.Table(
    "loan",
    db.metadata,
    sa.Column("id", sa.String(40), primary_key=True),
    sa.Column("user_id", sa.String, sa.ForeignKey("user.id"), nullable=False),
    sa.Column("key", sa.String(64), nullable=False),
    # One of these two, and "" for the other.
    sa.Column("project", sa.String(40), nullable=False, index=True),
    sa.Column("owner", sa.String(40), nullable=False, index=True),
    sa.Column("given_by", sa.String(40), nullable=False),
    sa.Column("given", sa.BigInteger, nullable=False),
    sa.UniqueConstraint("user_id", "key", "project", "owner"),
)

token = sa.Table(
    "token",
    db.metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("user_id", sa.String, sa.ForeignKey("user.id"), nullable=False, index=True),
    sa.Column("name", sa.String, nullable=False),
    sa.Column("hash", sa.String, nullable=False, unique=True),
    sa.Column("scopes", db.Json, nullable=False),
    sa.Column("project", sa.String),
    sa.Column("dialect", sa.String, nullable=False),
    # Of a lent one: the only dialect that takes it, and the token it was lent by, with which it ends.
    sa.Column("only_in", sa.String(16), nullable=False),
    sa.Column("parent", sa.String(40), nullable=False, index=True),
    # Whether an agent holds it, which never changes what it is told or may do, whoever it works for.
    sa.Column("is_agent", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("created", sa.BigInteger, nullable=False),
    sa.Column("expires", sa.BigInteger),
    sa.Column("last_used", sa.BigInteger),
    sa.Column("revoked", sa.BigInteger),
)

# A dialect port names its token, so a name means one living token.
sa.Index(
    "ix_token_living_name",
    token.c.name,
    unique=True,
    sqlite_where=token.c.revoked.is_(None),
    postgresql_where=token.c.revoked.is_(None),
)

browser_session = sa.Table(
    "browser_session",
    db.metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("user_id", sa.String, sa.ForeignKey("user.id"), nullable=False, index=True),
    sa.Column("hash", sa.String, nullable=False, unique=True),
    sa.Column("address", sa.String, nullable=False),
    sa.Column("agent", sa.String(300), nullable=False, server_default=""),
    sa.Column("created", sa.BigInteger, nullable=False),
    sa.Column("seen", sa.BigInteger, nullable=False),
    sa.Column("idle", sa.BigInteger, nullable=False),
    sa.Column("expires", sa.BigInteger, nullable=False),
    # When the person last showed who they are.
    sa.Column("proved", sa.BigInteger, nullable=False, server_default="0"),
    # Whether it is to have a new secret at its next page; the one before, which is good for a few seconds more; what
    # the new one was made of together with that, and when.
    sa.Column("is_due", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("previous", sa.String(64), nullable=False, server_default="", index=True),
    sa.Column("salt", sa.String(64), nullable=False, server_default=""),
    sa.Column("renewed", sa.BigInteger, nullable=False, server_default="0"),
)

password = sa.Table(
    "password",
    db.metadata,
    sa.Column("user_id", sa.String, sa.ForeignKey("user.id"), primary_key=True),
    sa.Column("hash", sa.String, nullable=False),
    sa.Column("changed", sa.BigInteger, nullable=False),
)

# A program that somebody signed in with: the family of all tokens that came of that one sign-in.
client_session = sa.Table(
    "client_session",
    db.metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("user_id", sa.String, sa.ForeignKey("user.id"), nullable=False, index=True),
    sa.Column("address", sa.String, nullable=False),
    sa.Column("agent", sa.String(300), nullable=False),
    sa.Column("created", sa.BigInteger, nullable=False),
    sa.Column("seen", sa.BigInteger, nullable=False),
    sa.Column("expires", sa.BigInteger, nullable=False, index=True),
    sa.Column("proved", sa.BigInteger, nullable=False),
    sa.Column("ended", sa.BigInteger),
)

refresh_token = sa.Table(
    "refresh_token",
    db.metadata,
    sa.Column("hash", sa.String, primary_key=True),
    sa.Column("session_id", sa.String, sa.ForeignKey("client_session.id"), nullable=False, index=True),
    sa.Column("created", sa.BigInteger, nullable=False),
    sa.Column("used", sa.BigInteger),
    # What its successors are made of together with its secret, which only its holder has; "" until it is used.
    sa.Column("salt", sa.String, nullable=False),
)

access_token = sa.Table(
    "access_token",
    db.metadata,
    sa.Column("hash", sa.String, primary_key=True),
    sa.Column("session_id", sa.String, sa.ForeignKey("client_session.id"), nullable=False, index=True),
    sa.Column("expires", sa.BigInteger, nullable=False),
)

code = sa.Table(
    "code",
    db.metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("user_id", sa.String, sa.ForeignKey("user.id"), nullable=False, index=True),
    sa.Column("hash", sa.String, nullable=False, unique=True),
    sa.Column("created", sa.BigInteger, nullable=False),
    sa.Column("expires", sa.BigInteger, nullable=False),
    sa.Column("used", sa.BigInteger),
)

signin_failure = sa.Table(
    "signin_failure",
    db.metadata,
    sa.Column("id", db.BigSerial, primary_key=True, autoincrement=True),
    sa.Column("client", sa.String(64), nullable=False),
    # The hash of the email that was tried, whether somebody has it or not; "" where none was asked for.
    sa.Column("account", sa.String(64), nullable=False, server_default="", index=True),
    sa.Column("at", sa.BigInteger, nullable=False, index=True),
)

# Of somebody who was sent on to a client: what the client can get their tokens for, once and at once.
handover = sa.Table(
    "handover",
    db.metadata,
    sa.Column("hash", sa.String(64), primary_key=True),
    sa.Column("user_id", sa.String, sa.ForeignKey("user.id"), nullable=False),
    sa.Column("expires", sa.BigInteger, nullable=False),
)

# What people have chosen for themselves; "" where they have made no choice.
look = sa.Table(
    "look",
    db.metadata,
    sa.Column("user_id", sa.String, sa.ForeignKey("user.id"), primary_key=True),
    sa.Column("theme", sa.String(16), nullable=False),
    sa.Column("density", sa.String(16), nullable=False),
    sa.Column("visibility", sa.String(16), nullable=False),
)
