"""The tables of projects: the registered roots, who is in them, our worktrees of them, and the directories that were
refused.
"""

from __future__ import annotations

import sqlalchemy as sa

from app import db

project = sa.Table(
    "project",
    db.metadata,
    sa.Column("id", sa.String(40), primary_key=True),
    sa.Column("name", sa.String(100), nullable=False),
    sa.Column("root", sa.String(4096), nullable=False, unique=True),
    sa.Column("git_root", sa.String(64), nullable=False),
    sa.Column("vcs", sa.Boolean, nullable=False),
    sa.Column("origin", sa.String(2048), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("progress", db.Json, nullable=False),
    sa.Column("owner", sa.String(40), nullable=False),
    sa.Column("visibility", sa.String(16), nullable=False),
    sa.Column("created", sa.BigInteger, nullable=False),
    sa.Column("initialized", sa.BigInteger),
    # When the process that clones last said so; another one takes over when it has been silent.
    sa.Column("beat", sa.BigInteger, nullable=False),
)

# Read with each look at who somebody is, and empty where nobody closes a project.
sa.Index(
    "ix_project_closed",
    project.c.id,
    sqlite_where=project.c.visibility == "members",
    postgresql_where=project.c.visibility == "members",
)

# Who sees a project that only these people, its owner and who holds everything see.
member = sa.Table(
    "project_member",
    db.metadata,
    sa.Column("project", sa.String(40), primary_key=True),
    sa.Column("user_id", sa.String(40), primary_key=True, index=True),
    sa.Column("added_by", sa.String(40), nullable=False),
    sa.Column("added", sa.BigInteger, nullable=False),
)

worktree = sa.Table(
    "worktree",
    db.metadata,
    sa.Column("id", sa.String(40), primary_key=True),
    sa.Column("project", sa.String(40), nullable=False, index=True),
    sa.Column("name", sa.String(100), nullable=False),
    sa.Column("directory", sa.String(4096), nullable=False, unique=True),
    sa.Column("branch", sa.String(255), nullable=False),
    # Where its repository is, the git directory they share, and the part of it that is this worktree's own.
    sa.Column("repository", sa.String(4096), nullable=False),
    sa.Column("git_dir", sa.String(4096), nullable=False),
    sa.Column("admin", sa.String(4096), nullable=False),
    sa.Column("owner", sa.String(40), nullable=False),
    sa.Column("created", sa.BigInteger, nullable=False),
    # When a start found that the directory is gone.
    sa.Column("missing", sa.BigInteger, nullable=True),
)

refusal = sa.Table(
    "directory_refusal",
    db.metadata,
    sa.Column("path", sa.String(1024), primary_key=True),
    sa.Column("times", sa.Integer, nullable=False),
    sa.Column("user", sa.String(40), nullable=False),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("via", sa.String(16), nullable=False),
    sa.Column("first", sa.BigInteger, nullable=False),
    sa.Column("last", sa.BigInteger, nullable=False),
)
