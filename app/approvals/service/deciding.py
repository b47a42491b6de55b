"""Deciding whether a call may run: what its session, its mode and all rules say of it."""

from __future__ import annotations

import os.path
from collections.abc import Sequence
from pathlib import Path

from app import config, db
from app.approvals import kept_away, rulebook, rules
from app.approvals.presets import MODES, UNLIMITED, Limits
from app.approvals.rules import NONE, Decision, Doubt, Ground, Rule, Stance
from app.approvals.things import Call
from app.sessions.service import Hold, Session


def decide(
    hold: Hold,
    call: Call,
    *,
    given: Sequence[Rule] = (),
    ceiling: str = "",
    limits: Limits | None = None,
    roots: tuple[str, ...] = (),
    doubt: Doubt = NONE,
) -> Decision:
    """Decide a call under preset, mode and all rules; `given` are further rules, from settings and modes.

    The server's own ceiling on presets holds where none is given. `limits` stand in for those that are built in
    for the mode, `roots` are further folders the agent may use. `doubt` is what speaks against handing work over.
    """
    with db.read() as connection:
        stored = rulebook.holding(connection, hold.session)
    stance = _stance(hold.session, hold.run.mode, ceiling or config.current().preset_ceiling, limits)
    definition = str(call.metadata.get("definition", ""))
    ground, ruled = _ground(hold.session, roots), [*given, *stored]
    return rules.decide(call.tool, call.input, ground, stance, ruled, definition=definition, doubt=doubt)


def _stance(session: Session, mode: str, ceiling: str, limits: Limits | None) -> Stance:
    return Stance(session.preset, ceiling, mode, limits or MODES.get(mode, UNLIMITED))


def _ground(session: Session, roots: tuple[str, ...]) -> Ground:
    data_dir = os.path.realpath(config.current().data_dir)
    hides = kept_away.hides_in(session.directory)
    return Ground(session.directory, roots, data_dir, str(Path.home()), os.path.realpath, hides, os.path.lexists)
