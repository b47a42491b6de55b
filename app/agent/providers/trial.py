"""A trial: one small question to a provider over its own wire, and what came of it in plain words."""

from __future__ import annotations

import re
import threading
import time
from dataclasses import dataclass
from typing import Literal

from app import ids, outbound, redact
from app.accounts import service as accounts
from app.actor import Actor
from app.agent.providers import Cancel, Cancelled, ProviderFailed, Request, Text, UserTurn, catalog
from app.agent.providers.circuit import Circuit
from app.agent.providers.demo import ID as DEMO
from app.agent.providers.known import Entry
from app.agent.ticks import ticks
from app.errors import Invalid, Limited, NotFound

Reason = Literal["key", "credit", "model", "address", "unreachable", "silent", "busy", "down", "other"]
BOUNDS = outbound.Bounds(connect=5, first_byte=15, between_bytes=15, total=None, size=None)
LONGEST = 20.0  # seconds of a whole trial
MOST_AT_ONCE = 2  # each holds a thread of the web
LONGEST_NAME, LONGEST_DETAIL = 300, 300
ASKED = "Answer with the word ok."
NO_CREDIT = {"insufficient_quota", "billing_hard_limit_reached", "billing_error", "insufficient_credits"}
NO_MODEL = {"model_not_found", "not_found_error", "NOT_FOUND"}
_CREDIT = re.compile(r"credit|billing|quota|balance|insufficient funds", re.IGNORECASE)
_MODEL = re.compile(r"\bmodels?\b", re.IGNORECASE)
_places = threading.BoundedSemaphore(MOST_AT_ONCE)
_last: dict[str, Trial] = {}


@dataclass(frozen=True)
class Trial:
    """What a trial showed: `words` is a sentence, `detail` the provider's own words, `ms` until the first piece of the
    answer or the refusal; `at` in unix ms, `reason` empty when it went well.
    """

    model: str
    words: str
    detail: str
    ms: int
    at: int
    reason: Reason | Literal[""] = ""

    @property
    def is_ok(self) -> bool:
        """Whether the model answered."""
        return not self.reason


def run(actor: Actor | None, provider: str, model: str = "") -> Trial:
    """Ask a model of a provider for one word, the first of its models if none is named; kept as its last trial.

    Raises NotFound for a provider that is not connected, Invalid where there is no model to ask, Limited while others
    are under way.
    """
    accounts.require(actor, "secrets:write")
    entry = catalog.entry_of(provider) if provider != DEMO else None
    if entry is None:
        raise NotFound("provider", provider)
    return keep(provider, ask(entry, model_of(entry, model)))


def model_of(entry: Entry, model: str) -> str:
    """The model to ask, the first of the provider's if none is named; raises Invalid where there is none."""
    name = model or catalog.first_model(entry)
    if not name or len(name) > LONGEST_NAME:
        raise Invalid("Name the model to ask.", "model")
    return name


def keep(at: str, found: Trial) -> Trial:
    """Remember in this process what was found, under a provider's id or another name."""
    _last[at] = found
    return found


def ask(entry: Entry, model: str) -> Trial:
    """Ask a model for one word, for whoever may have it asked; raises Limited while others are under way."""
    if not _places.acquire(blocking=False):
        raise Limited("Other tests are under way. Try again in a moment.", 5)
    try:
        return _asked(entry, model)
    finally:
        _places.release()


def last(provider: str) -> Trial | None:
    """What the last trial of a provider in this process showed."""
    return _last.get(provider)


def forget(provider: str) -> None:
    """Its key is another now, or gone: what the last trial showed holds no more."""
    _last.pop(provider, None)


def _asked(entry: Entry, model: str) -> Trial:
    # A circuit of its own: it is asked even while sessions leave it alone, and what it answers counts for none of them.
    wire = catalog.wire_of(entry, model, BOUNDS, Circuit())
    cancel = Cancel()
    ticks.after(LONGEST, cancel.set)
    begun = time.monotonic()
    problem: ProviderFailed | Cancelled | None = None
    try:
        # The first piece tells all; to hang up behind it keeps the trial small.
        next(iter(wire.stream(Request(model, "", (UserTurn((Text(ASKED),)),), think=False), cancel)))
    except (ProviderFailed, Cancelled) as failed:
        problem = failed
    finally:
        ms = round((time.monotonic() - begun) * 1000)
        cancel.set()
    if problem is None:
        return Trial(model, f"{model} answered.", "", ms, ids.now())
    if isinstance(problem, Cancelled):
        return Trial(model, f"{entry.name} did not answer within {LONGEST:g} s.", "", ms, ids.now(), "silent")
    reason = reason_of(problem)
    detail = redact.text(problem.message)[:LONGEST_DETAIL]
    return Trial(model, _words(reason, entry.name, model, problem.status), detail, ms, ids.now(), reason)


def reason_of(failed: ProviderFailed) -> Reason:
    """What a provider's refusal comes to."""
    status, codes = failed.status, failed.codes
    speaks_of_credit = status in (400, 403, 429) and bool(_CREDIT.search(failed.message))
    if status == 402 or codes & NO_CREDIT or (speaks_of_credit and not failed.retryable):
        return "credit"
    if failed.auth:
        return "key"
    if codes & NO_MODEL or (status in (400, 404, 422) and _MODEL.search(failed.body)):
        return "model"
    if status == 404:
        return "address"
    if status == 429:
        return "busy"
    if status is not None:
        return "down" if status >= 500 else "other"
    if failed.message.startswith("Could not reach") or "reached in time" in failed.message:
        return "unreachable"
    return "silent" if "silent" in failed.message else "other"


def _words(reason: Reason, name: str, model: str, status: int | None) -> str:
    told = {
        "key": f"{name} refused the key.",
        "credit": f"{name} took the key, but its account has no credit or quota left.",
        "model": f"{name} does not know the model {model}.",
        "address": f"There is nothing at this address of {name}: it answered 404.",
        "unreachable": f"{name} cannot be reached.",
        "silent": f"{name} took the question and fell silent.",
        "busy": f"{name} has too much to do or you asked too often (429). The key was taken.",
        "down": f"{name} is in trouble: it answered {status}.",
        "other": f"{name} did not answer" + (f": {status}." if status else "."),
    }
    return told[reason]
