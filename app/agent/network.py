"""Asking people about hosts: a running command that wants to reach one waits while a person decides.

The run holds its thread meanwhile, as with any tool that runs, so such an ask never puts it to waiting. The answer
comes as an event of the log and wakes the connection that waits for it; the end of the command takes the ask back.
"""

from __future__ import annotations

import logging
import threading

from app import config, db
from app.accounts import service as accounts
from app.approvals import service as approvals
from app.approvals.events import Answered, Withdrawn
from app.approvals.service import Ask, Call
from app.events import service as events
from app.processes.spawn import Target, sandbox_state
from app.sessions.service import Fenced, Hold, Part

MOST_ASKS = 20
ENDED = "the command has ended"
GOING = "the server went down before anybody answered"
_logger = logging.getLogger(__name__)


def word(preset: str) -> str:
    """What commands of a session with this preset may do on the network, in a few words for its page."""
    if not sandbox_state().on:
        return "the machine's own, without a sandbox"
    if not is_on() or preset == "read-only":
        return "off"
    return "on, without asking" if preset == "auto" else "asks for each host"


class Word:
    """What is said about one host: empty to let it pass, else why not; the first word counts."""

    def __init__(self) -> None:
        self._said = threading.Event()
        self._why = ""

    def say(self, why: str) -> None:
        """Say it to whoever waits."""
        if not self._said.is_set():
            self._why = why
            self._said.set()

    def wait(self) -> str:
        """Wait for the word."""
        self._said.wait()
        return self._why


_waiting: dict[str, Word] = {}


def start() -> None:
    """At start: hear of answers."""
    events.listen(Answered, _on_settled)
    events.listen(Withdrawn, _on_settled)


def drain() -> None:
    """The server goes down: no command waits for a word any more, so that each comes to an end that can be told."""
    for one in list(_waiting.values()):
        one.say(GOING)


def is_on() -> bool:
    """Whether commands here may ask for hosts: as the setting says, without one until a second person is here."""
    if not sandbox_state().on:
        return False
    return config.current().egress == "ask" or (not config.current().egress and not accounts.has_team())


class Asker:
    """Decides on the hosts that one running call wants to reach, each once; safe to use from any thread."""

    def __init__(self, hold: Hold, part: Part) -> None:
        self._hold = hold
        self._part = part
        self._lock = threading.Lock()
        self._words: dict[str, Word] = {}
        self._asked: list[str] = []
        self._closed = False

    def permit(self, target: Target) -> str:
        """Why the command may not reach it, or an empty string; waits for a person where the rules say ask."""
        with self._lock:
            if self._closed:
                return ENDED
            known = self._words.get(str(target))
            word = self._words.setdefault(str(target), Word())
        if known is None:
            self._decide(target, word)
        return word.wait()

    def close(self) -> None:
        """The call has ended: nobody waits any more, and nobody needs to answer."""
        with self._lock:
            self._closed = True
            words, asked = list(self._words.values()), list(self._asked)
        for word in words:
            word.say(ENDED)
        unanswered = [ask_id for ask_id in asked if _waiting.pop(ask_id, None) is not None]
        if unanswered:
            with db.transaction() as connection:
                approvals.withdraw(connection, part_id=self._part.id)

    def _decide(self, target: Target, word: Word) -> None:
        try:
            call = self._call(target)
            decision = approvals.decide(self._hold, call)
            if decision.action == "ask":
                self._ask(call, decision, word)
            else:
                word.say("" if decision.action == "allow" else decision.parts[0].why)
        except Fenced:
            word.say("the run was taken over by another process")
        except Exception:
            _logger.exception("the way to %s could not be decided", target)
            word.say("something broke on the server")

    def _ask(self, call: Call, decision: approvals.Decision, word: Word) -> None:
        """Ask, then look: an answer that came before anybody listened for it is in the row."""
        with self._lock:
            if why := self._no_ask():
                word.say(why)
                return
            asked = approvals.ask(self._hold, call, decision)
            self._asked.append(asked.id)
            _waiting[asked.id] = word
        if self._hold.draining.is_set():
            word.say(GOING)
        settled = approvals.verdict(self._hold, call)
        if settled is not None and settled.state != "waiting":
            _settle(settled)

    def _no_ask(self) -> str:
        """Why nobody is asked now, or an empty string."""
        if self._closed or self._hold.draining.is_set():
            return ENDED if self._closed else GOING
        return f"a command asks for {MOST_ASKS} hosts at most" if len(self._asked) >= MOST_ASKS else ""

    def _call(self, target: Target) -> Call:
        data = self._part.data
        given = {"host": target.host, "port": target.port, "command": str(data["state"]["input"].get("command", ""))}
        return Call("network", given, data["callID"], self._part.message_id, self._part.id)


def _on_settled(fact: Answered | Withdrawn) -> None:
    if fact.ask["id"] in _waiting:
        _settle(Ask(**fact.ask))


def _settle(ask: Ask) -> None:
    word = _waiting.pop(ask.id, None)
    if word is not None:
        word.say("" if ask.is_allowed else _refusal(ask))


def _refusal(ask: Ask) -> str:
    if ask.state == "withdrawn":
        return ENDED
    return f"{ask.answered_name} rejected it: {ask.word}" if ask.word else f"{ask.answered_name} rejected it"
