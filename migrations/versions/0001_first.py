"""The first schema: accounts, the log, sessions with their runs, asks, checkpoints, projects and secrets."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from app.db import BigSerial, Json

revision = '0001'
down_revision = None
branch_labels = None
depends_on = None


# FTS5 keeps no words of its own here: it reads those of part_words, and triggers tell it of every change.
_SEARCH = {
    "sqlite": (
        "CREATE VIRTUAL TABLE part_words_fts USING fts5"
        "(words, content='part_words', content_rowid='id', tokenize='unicode61 remove_diacritics 2', prefix='2 3')",
        "CREATE TRIGGER part_words_fts_added AFTER INSERT ON part_words BEGIN"
        " INSERT INTO part_words_fts(rowid, words) VALUES (new.id, new.words); END",
        "CREATE TRIGGER part_words_fts_removed AFTER DELETE ON part_words BEGIN"
        " INSERT INTO part_words_fts(part_words_fts, rowid, words) VALUES ('delete', old.id, old.words); END",
    ),
    "postgresql": ("CREATE INDEX part_words_fts ON part_words USING gin (to_tsvector('simple', words))",),
}


def upgrade() -> None:
    """Apply."""
    op.create_table('ask',
    sa.Column('id', sa.String(length=40), nullable=False),
    sa.Column('kind', sa.String(length=16), nullable=False),
    sa.Column('session_id', sa.String(length=40), nullable=False),
    sa.Column('above', sa.Text(), nullable=False),
    sa.Column('run_id', sa.String(length=40), nullable=False),
    sa.Column('message_id', sa.String(length=40), nullable=False),
    sa.Column('part_id', sa.String(length=40), nullable=False),
    sa.Column('call_id', sa.String(length=128), nullable=False),
    sa.Column('call_hash', sa.String(length=64), nullable=False),
    sa.Column('tool', sa.String(length=128), nullable=False),
    sa.Column('input', Json, nullable=False),
    sa.Column('title', sa.Text(), nullable=False),
    sa.Column('metadata', Json, nullable=False),
    sa.Column('patterns', Json, nullable=False),
    sa.Column('why', sa.Text(), nullable=False),
    sa.Column('parts', Json, nullable=False),
    sa.Column('always', Json, nullable=False),
    sa.Column('questions', Json, nullable=False),
    sa.Column('mode', sa.String(length=64), nullable=False),
    sa.Column('owner', sa.String(length=40), nullable=False),
    sa.Column('project', sa.String(length=40), nullable=False),
    sa.Column('visibility', sa.String(length=16), nullable=False),
    sa.Column('state', sa.String(length=16), nullable=False),
    sa.Column('reply', sa.String(length=16), nullable=False),
    sa.Column('word', sa.Text(), nullable=False),
    sa.Column('answers', Json, nullable=False),
    sa.Column('added', Json, nullable=False),
    sa.Column('answered_by', sa.String(length=64), nullable=False),
    sa.Column('answered_name', sa.Text(), nullable=False),
    sa.Column('created', sa.BigInteger(), nullable=False),
    sa.Column('answered', sa.BigInteger(), nullable=True),
    sa.PrimaryKeyConstraint('id')
    )
    op.create_index('ask_one_waiting', 'ask', ['session_id', 'call_hash'], unique=True, sqlite_where=sa.text("state = 'waiting'"), postgresql_where=sa.text("state = 'waiting'"))
    op.create_index('ask_run', 'ask', ['run_id', 'state'], unique=False)
    op.create_index('ask_session', 'ask', ['session_id', 'call_hash'], unique=False)
    op.create_index('ask_state', 'ask', ['state', 'answered'], unique=False)
    op.create_table('audit',
    sa.Column('seq', BigSerial, autoincrement=True, nullable=False),
    sa.Column('at', sa.BigInteger(), nullable=False),
    sa.Column('actor', sa.String(length=64), nullable=False),
    sa.Column('actor_kind', sa.String(length=16), nullable=False),
    sa.Column('user', sa.String(length=40), nullable=False),
    sa.Column('token', sa.String(length=64), nullable=True),
    sa.Column('action', sa.String(length=64), nullable=False),
    sa.Column('target', sa.String(length=255), nullable=False),
    sa.Column('result', sa.String(length=16), nullable=False),
    sa.Column('address', sa.String(length=64), nullable=False),
    sa.Column('via', sa.String(length=16), nullable=False),
    sa.Column('detail', Json, nullable=False),
    sa.PrimaryKeyConstraint('seq'),
    sqlite_autoincrement=True
    )
    op.create_table('audit_seal',
    sa.Column('place', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('seq', sa.BigInteger(), nullable=False),
    sa.Column('prev_hash', sa.String(length=64), nullable=False),
    sa.Column('hash', sa.String(length=64), nullable=False),
    sa.PrimaryKeyConstraint('place'),
    sa.UniqueConstraint('seq')
    )
    op.create_table('checkpoint',
    sa.Column('id', sa.String(length=40), nullable=False),
    sa.Column('session_id', sa.String(length=40), nullable=False),
    sa.Column('project', sa.String(length=40), nullable=False),
    sa.Column('directory', sa.String(length=4096), nullable=False),
    sa.Column('message_id', sa.String(length=64), nullable=False),
    sa.Column('part_id', sa.String(length=64), nullable=False),
    sa.Column('number', sa.Integer(), nullable=False),
    sa.Column('kind', sa.String(length=16), nullable=False),
    sa.Column('tree', sa.String(length=64), nullable=False),
    sa.Column('base', sa.String(length=64), nullable=False),
    sa.Column('files', Json, nullable=False),
    sa.Column('skipped', Json, nullable=False),
    sa.Column('note', sa.String(length=500), nullable=False),
    sa.Column('created', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('id'),
    sa.UniqueConstraint('session_id', 'number')
    )
    op.create_index('checkpoint_message', 'checkpoint', ['session_id', 'message_id'], unique=False)
    op.create_table('directory_refusal',
    sa.Column('path', sa.String(length=1024), nullable=False),
    sa.Column('times', sa.Integer(), nullable=False),
    sa.Column('user', sa.String(length=40), nullable=False),
    sa.Column('name', sa.String(length=200), nullable=False),
    sa.Column('via', sa.String(length=16), nullable=False),
    sa.Column('first', sa.BigInteger(), nullable=False),
    sa.Column('last', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('path')
    )
    op.create_table('event',
    sa.Column('seq', BigSerial, autoincrement=True, nullable=False),
    sa.Column('xid', sa.BigInteger(), nullable=False),
    sa.Column('kind', sa.String(length=64), nullable=False),
    sa.Column('session_id', sa.String(length=40), nullable=False),
    sa.Column('owner', sa.String(length=40), nullable=False),
    sa.Column('project', sa.String(length=40), nullable=False),
    sa.Column('visibility', sa.String(length=16), nullable=False),
    sa.Column('data', Json, nullable=False),
    sa.Column('at', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('seq'),
    sqlite_autoincrement=True
    )
    op.create_index('event_session', 'event', ['session_id', 'seq'], unique=False)
    op.create_index('event_xid_seq', 'event', ['xid', 'seq'], unique=False)
    op.create_table('project',
    sa.Column('id', sa.String(length=40), nullable=False),
    sa.Column('name', sa.String(length=100), nullable=False),
    sa.Column('root', sa.String(length=4096), nullable=False),
    sa.Column('git_root', sa.String(length=64), nullable=False),
    sa.Column('vcs', sa.Boolean(), nullable=False),
    sa.Column('origin', sa.String(length=2048), nullable=False),
    sa.Column('state', sa.String(length=16), nullable=False),
    sa.Column('progress', Json, nullable=False),
    sa.Column('owner', sa.String(length=40), nullable=False),
    sa.Column('visibility', sa.String(length=16), nullable=False),
    sa.Column('created', sa.BigInteger(), nullable=False),
    sa.Column('initialized', sa.BigInteger(), nullable=True),
    sa.Column('beat', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('id'),
    sa.UniqueConstraint('root')
    )
    op.create_table('rule',
    sa.Column('id', sa.String(length=40), nullable=False),
    sa.Column('layer', sa.String(length=16), nullable=False),
    sa.Column('target', sa.String(length=40), nullable=False),
    sa.Column('tool', sa.String(length=128), nullable=False),
    sa.Column('pattern', sa.Text(), nullable=False),
    sa.Column('action', sa.String(length=8), nullable=False),
    sa.Column('ask_id', sa.String(length=40), nullable=False),
    sa.Column('created_by', sa.String(length=64), nullable=False),
    sa.Column('created', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('id')
    )
    op.create_index('rule_target', 'rule', ['layer', 'target', 'id'], unique=False)
    op.create_table('secret',
    sa.Column('scope', sa.String(length=128), nullable=False),
    sa.Column('name', sa.String(length=128), nullable=False),
    sa.Column('version', sa.Integer(), nullable=False),
    sa.Column('key_id', sa.String(length=40), nullable=False),
    sa.Column('sealed', sa.LargeBinary(), nullable=False),
    sa.Column('by', sa.String(length=40), nullable=False),
    sa.Column('created', sa.BigInteger(), nullable=False),
    sa.Column('updated', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('scope', 'name')
    )
    op.create_table('secret_key',
    sa.Column('scope', sa.String(length=128), nullable=False),
    sa.Column('id', sa.String(length=40), nullable=False),
    sa.Column('master_id', sa.String(length=16), nullable=False),
    sa.Column('sealed', sa.LargeBinary(), nullable=False),
    sa.Column('created', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('scope')
    )
    op.create_table('secret_master',
    sa.Column('id', sa.Integer(), autoincrement=False, nullable=False),
    sa.Column('master_id', sa.String(length=16), nullable=False),
    sa.PrimaryKeyConstraint('id')
    )
    op.create_table('session',
    sa.Column('id', sa.String(length=40), nullable=False),
    sa.Column('project', sa.String(length=40), nullable=False),
    sa.Column('directory', sa.Text(), nullable=False),
    sa.Column('parent_id', sa.String(length=40), nullable=True),
    sa.Column('title', sa.Text(), nullable=False),
    sa.Column('mode', sa.String(length=64), nullable=False),
    sa.Column('provider', sa.String(length=64), nullable=False),
    sa.Column('model', sa.String(length=128), nullable=False),
    sa.Column('preset', sa.String(length=32), nullable=False),
    sa.Column('owner', sa.String(length=40), nullable=False),
    sa.Column('visibility', sa.String(length=16), nullable=False),
    sa.Column('via', sa.String(length=16), nullable=False),
    sa.Column('state', sa.String(length=16), nullable=False),
    sa.Column('cost', sa.Float(), nullable=False),
    sa.Column('tokens', Json, nullable=False),
    sa.Column('additions', sa.Integer(), nullable=False),
    sa.Column('deletions', sa.Integer(), nullable=False),
    sa.Column('files', sa.Integer(), nullable=False),
    sa.Column('todos', Json, nullable=False),
    sa.Column('revert', Json, nullable=True),
    sa.Column('last_act', sa.Text(), nullable=False),
    sa.Column('created', sa.BigInteger(), nullable=False),
    sa.Column('updated', sa.BigInteger(), nullable=False),
    sa.Column('archived', sa.BigInteger(), nullable=True),
    sa.Column('version', sa.Integer(), nullable=False),
    sa.PrimaryKeyConstraint('id')
    )
    op.create_index(op.f('ix_session_parent_id'), 'session', ['parent_id'], unique=False)
    op.create_index(op.f('ix_session_updated'), 'session', ['updated'], unique=False)
    op.create_index('session_project_updated', 'session', ['project', 'updated', 'id'], unique=False)
    op.create_index('session_updated_id', 'session', ['updated', 'id'], unique=False)
    op.create_table('signin_failure',
    sa.Column('id', BigSerial, autoincrement=True, nullable=False),
    sa.Column('client', sa.String(length=64), nullable=False),
    sa.Column('at', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('id')
    )
    op.create_index(op.f('ix_signin_failure_at'), 'signin_failure', ['at'], unique=False)
    op.create_table('user',
    sa.Column('id', sa.String(), nullable=False),
    sa.Column('name', sa.String(), nullable=False),
    sa.Column('email', sa.String(), nullable=True),
    sa.Column('role', sa.String(), nullable=False),
    sa.Column('seat', sa.String(), nullable=True),
    sa.Column('created', sa.BigInteger(), nullable=False),
    sa.Column('signed_in', sa.BigInteger(), nullable=True),
    sa.Column('revoked', sa.BigInteger(), nullable=True),
    sa.PrimaryKeyConstraint('id'),
    sa.UniqueConstraint('seat')
    )
    op.create_index('ix_user_living_email', 'user', ['email'], unique=True, sqlite_where=sa.text('revoked IS NULL'), postgresql_where=sa.text('revoked IS NULL'))
    op.create_table('browser_session',
    sa.Column('id', sa.String(), nullable=False),
    sa.Column('user_id', sa.String(), nullable=False),
    sa.Column('hash', sa.String(), nullable=False),
    sa.Column('address', sa.String(), nullable=False),
    sa.Column('created', sa.BigInteger(), nullable=False),
    sa.Column('seen', sa.BigInteger(), nullable=False),
    sa.Column('idle', sa.BigInteger(), nullable=False),
    sa.Column('expires', sa.BigInteger(), nullable=False),
    sa.ForeignKeyConstraint(['user_id'], ['user.id'], ),
    sa.PrimaryKeyConstraint('id'),
    sa.UniqueConstraint('hash')
    )
    op.create_index(op.f('ix_browser_session_user_id'), 'browser_session', ['user_id'], unique=False)
    op.create_table('code',
    sa.Column('id', sa.String(), nullable=False),
    sa.Column('user_id', sa.String(), nullable=False),
    sa.Column('hash', sa.String(), nullable=False),
    sa.Column('created', sa.BigInteger(), nullable=False),
    sa.Column('expires', sa.BigInteger(), nullable=False),
    sa.Column('used', sa.BigInteger(), nullable=True),
    sa.ForeignKeyConstraint(['user_id'], ['user.id'], ),
    sa.PrimaryKeyConstraint('id'),
    sa.UniqueConstraint('hash')
    )
    op.create_index(op.f('ix_code_user_id'), 'code', ['user_id'], unique=False)
    op.create_table('message',
    sa.Column('id', sa.String(length=40), nullable=False),
    sa.Column('session_id', sa.String(length=40), nullable=False),
    sa.Column('role', sa.String(length=16), nullable=False),
    sa.Column('data', Json, nullable=False),
    sa.Column('created', sa.BigInteger(), nullable=False),
    sa.Column('completed', sa.BigInteger(), nullable=True),
    sa.Column('version', sa.Integer(), nullable=False),
    sa.ForeignKeyConstraint(['session_id'], ['session.id'], ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id')
    )
    op.create_index('message_session', 'message', ['session_id', 'id'], unique=False)
    op.create_table('run',
    sa.Column('id', sa.String(length=40), nullable=False),
    sa.Column('session_id', sa.String(length=40), nullable=False),
    sa.Column('message_id', sa.String(length=40), nullable=False),
    sa.Column('state', sa.String(length=16), nullable=False),
    sa.Column('mode', sa.String(length=64), nullable=False),
    sa.Column('provider', sa.String(length=64), nullable=False),
    sa.Column('model', sa.String(length=128), nullable=False),
    sa.Column('lease_owner', sa.String(length=80), nullable=True),
    sa.Column('lease_until', sa.BigInteger(), nullable=True),
    sa.Column('fence', sa.Integer(), nullable=False),
    sa.Column('takeovers', sa.Integer(), nullable=False),
    sa.Column('abort', sa.Boolean(), nullable=False),
    sa.Column('error', Json, nullable=True),
    sa.Column('created', sa.BigInteger(), nullable=False),
    sa.Column('started', sa.BigInteger(), nullable=True),
    sa.Column('ended', sa.BigInteger(), nullable=True),
    sa.ForeignKeyConstraint(['session_id'], ['session.id'], ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id')
    )
    op.create_index('run_one_live', 'run', ['session_id'], unique=True, sqlite_where=sa.text("state IN ('running', 'waiting')"), postgresql_where=sa.text("state IN ('running', 'waiting')"))
    op.create_index('run_session', 'run', ['session_id', 'id'], unique=False)
    op.create_index('run_state', 'run', ['state', 'lease_until'], unique=False)
    op.create_table('token',
    sa.Column('id', sa.String(), nullable=False),
    sa.Column('user_id', sa.String(), nullable=False),
    sa.Column('name', sa.String(), nullable=False),
    sa.Column('hash', sa.String(), nullable=False),
    sa.Column('scopes', Json, nullable=False),
    sa.Column('project', sa.String(), nullable=True),
    sa.Column('dialect', sa.String(), nullable=False),
    sa.Column('created', sa.BigInteger(), nullable=False),
    sa.Column('expires', sa.BigInteger(), nullable=True),
    sa.Column('last_used', sa.BigInteger(), nullable=True),
    sa.Column('revoked', sa.BigInteger(), nullable=True),
    sa.ForeignKeyConstraint(['user_id'], ['user.id'], ),
    sa.PrimaryKeyConstraint('id'),
    sa.UniqueConstraint('hash')
    )
    op.create_index('ix_token_living_name', 'token', ['name'], unique=True, sqlite_where=sa.text('revoked IS NULL'), postgresql_where=sa.text('revoked IS NULL'))
    op.create_index(op.f('ix_token_user_id'), 'token', ['user_id'], unique=False)
    op.create_table('part',
    sa.Column('id', sa.String(length=40), nullable=False),
    sa.Column('message_id', sa.String(length=40), nullable=False),
    sa.Column('session_id', sa.String(length=40), nullable=False),
    sa.Column('type', sa.String(length=16), nullable=False),
    sa.Column('text', sa.Text(), nullable=True),
    sa.Column('data', Json, nullable=False),
    sa.ForeignKeyConstraint(['message_id'], ['message.id'], ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id')
    )
    op.create_index('part_message', 'part', ['message_id', 'id'], unique=False)
    op.create_index('part_session', 'part', ['session_id', 'message_id', 'id'], unique=False)
    op.create_table('part_words',
    sa.Column('id', BigSerial, autoincrement=True, nullable=False),
    sa.Column('part_id', sa.String(length=40), nullable=False),
    sa.Column('message_id', sa.String(length=40), nullable=False),
    sa.Column('session_id', sa.String(length=40), nullable=False),
    sa.Column('words', sa.Text(), nullable=False),
    sa.ForeignKeyConstraint(['part_id'], ['part.id'], ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id'),
    sa.UniqueConstraint('part_id')
    )
    op.create_index(op.f('ix_part_words_session_id'), 'part_words', ['session_id'], unique=False)
    for statement in _SEARCH[op.get_context().dialect.name]:
        op.execute(statement)


def downgrade() -> None:
    """Take back."""
    if op.get_context().dialect.name == "sqlite":
        op.execute("DROP TABLE part_words_fts")
    op.drop_index(op.f('ix_part_words_session_id'), table_name='part_words')
    op.drop_table('part_words')
    op.drop_index('part_session', table_name='part')
    op.drop_index('part_message', table_name='part')
    op.drop_table('part')
    op.drop_index(op.f('ix_token_user_id'), table_name='token')
    op.drop_index('ix_token_living_name', table_name='token', sqlite_where=sa.text('revoked IS NULL'), postgresql_where=sa.text('revoked IS NULL'))
    op.drop_table('token')
    op.drop_index('run_state', table_name='run')
    op.drop_index('run_session', table_name='run')
    op.drop_index('run_one_live', table_name='run', sqlite_where=sa.text("state IN ('running', 'waiting')"), postgresql_where=sa.text("state IN ('running', 'waiting')"))
    op.drop_table('run')
    op.drop_index('message_session', table_name='message')
    op.drop_table('message')
    op.drop_index(op.f('ix_code_user_id'), table_name='code')
    op.drop_table('code')
    op.drop_index(op.f('ix_browser_session_user_id'), table_name='browser_session')
    op.drop_table('browser_session')
    op.drop_index('ix_user_living_email', table_name='user', sqlite_where=sa.text('revoked IS NULL'), postgresql_where=sa.text('revoked IS NULL'))
    op.drop_table('user')
    op.drop_index(op.f('ix_signin_failure_at'), table_name='signin_failure')
    op.drop_table('signin_failure')
    op.drop_index('session_updated_id', table_name='session')
    op.drop_index('session_project_updated', table_name='session')
    op.drop_index(op.f('ix_session_updated'), table_name='session')
    op.drop_index(op.f('ix_session_parent_id'), table_name='session')
    op.drop_table('session')
    op.drop_table('secret_master')
    op.drop_table('secret_key')
    op.drop_table('secret')
    op.drop_index('rule_target', table_name='rule')
    op.drop_table('rule')
    op.drop_table('project')
    op.drop_index('event_xid_seq', table_name='event')
    op.drop_index('event_session', table_name='event')
    op.drop_table('event')
    op.drop_table('directory_refusal')
    op.drop_index('checkpoint_message', table_name='checkpoint')
    op.drop_table('checkpoint')
    op.drop_table('audit_seal')
    op.drop_table('audit')
    op.drop_index('ask_state', table_name='ask')
    op.drop_index('ask_session', table_name='ask')
    op.drop_index('ask_run', table_name='ask')
    op.drop_index('ask_one_waiting', table_name='ask', sqlite_where=sa.text("state = 'waiting'"), postgresql_where=sa.text("state = 'waiting'"))
    op.drop_table('ask')
