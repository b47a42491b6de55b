"""The verbs of the room: for people and clients (transcript), for whoever drives runs (runs), for the engine (journal)."""

from app.sessions.service.counts import Standing, count_by_project, count_by_state, live_runs
from app.sessions.service.journal import (
    add_message,
    add_part,
    add_usage,
    append_text,
    close_message,
    refresh,
    say_busy,
    save_message,
    save_part,
    set_todos,
    transcript_of,
)
from app.sessions.service.modes import register_modes
from app.sessions.service.runs import (
    beat,
    end_dead_leases,
    end_lost_leases,
    finish,
    queued,
    release,
    requeue,
    take,
    wait,
    waiting_runs_gone,
)
from app.sessions.service.transcript import (
    abort,
    busy_ids,
    children,
    create,
    delete,
    find_page,
    get,
    get_many,
    last_run,
    message,
    restore_after_revert,
    send,
    set_figures,
    set_revert,
    text_of,
    transcript,
    update,
)
from app.sessions.things import Aborted, Fenced, Hold, Message, Part, Run, Session

__all__ = [
    "Aborted", "Fenced", "Hold", "Message", "Part", "Run", "Session", "Standing",
    "abort", "add_message", "add_part", "add_usage", "append_text", "beat", "busy_ids", "children", "close_message",
    "count_by_project", "count_by_state", "create",
    "delete", "end_dead_leases", "end_lost_leases", "find_page", "finish", "get", "get_many", "last_run", "live_runs",
    "message", "queued", "refresh", "register_modes", "release", "requeue", "restore_after_revert", "save_message", "save_part", "say_busy",
    "send", "set_figures", "set_revert", "set_todos", "take", "text_of", "transcript", "transcript_of",
    "update", "wait", "waiting_runs_gone",
]
