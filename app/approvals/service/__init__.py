"""The verbs of the room: decide a call, ask a human, answer, withdraw, list what waits, keep the rules.

Agents decide and ask with their hold; only people and their tokens answer. An ask is bound to one exact call
and is answered once; the answer is stored with it and puts the waiting run back into the queue.
"""

from app.approvals.js_patterns import BadPattern, TooSlow
from app.approvals.js_patterns import fault_of as fault_of_pattern
from app.approvals.js_patterns import finds as finds_pattern
from app.approvals.kept_away import NAME as ROOIGNORE
from app.approvals.kept_away import hides_in
from app.approvals.kept_away import told as told_hidden
from app.approvals.patterns import literal
from app.approvals.presets import LIMIT, Limits, Only, limits_of
from app.approvals.rules import Decision, Doubt, Rule
from app.approvals.service.answers import answer
from app.approvals.service.asking import ask, asked_runs, is_unanswered, is_waiting, last_allowed, verdict, withdraw
from app.approvals.service.deciding import decide
from app.approvals.service.family import asked_since
from app.approvals.service.keeping import add_rule, remove_rule, rules_of, said_of
from app.approvals.service.lists import (
    answered_today,
    count_waiting,
    find_waiting,
    get,
    get_many,
    of_session,
    waiting,
    waiting_ids,
    waiting_ids_of,
    waiting_in,
)
from app.approvals.service.questions import answer_question, question, reject_question
from app.approvals.service.replay import Foresight, Past, Replay, foresee, replay
from app.approvals.service.tidying import start, tidy
from app.approvals.service.together import Outcome, answer_reads
from app.approvals.subjects import paths_of
from app.approvals.things import Ask, Call, StoredRule, is_legible, likeness, limited, repeated
from app.approvals.tool_rules import Said

__all__ = [
    "LIMIT",
    "ROOIGNORE",
    "Ask",
    "BadPattern",
    "Call",
    "Decision",
    "Doubt",
    "Foresight",
    "Limits",
    "Only",
    "Outcome",
    "Past",
    "Replay",
    "Rule",
    "Said",
    "StoredRule",
    "TooSlow",
    "add_rule",
    "answer",
    "answer_question",
    "answer_reads",
    "answered_today",
    "ask",
    "asked_runs",
    "asked_since",
    "count_waiting",
    "decide",
    "fault_of_pattern",
    "find_waiting",
    "finds_pattern",
    "foresee",
    "get",
    "get_many",
    "hides_in",
    "is_legible",
    "is_unanswered",
    "is_waiting",
    "last_allowed",
    "likeness",
    "limited",
    "limits_of",
    "literal",
    "of_session",
    "paths_of",
    "question",
    "reject_question",
    "remove_rule",
    "repeated",
    "replay",
    "rules_of",
    "said_of",
    "start",
    "tidy",
    "told_hidden",
    "verdict",
    "waiting",
    "waiting_ids",
    "waiting_ids_of",
    "waiting_in",
    "withdraw",
]
