"""In what our answers and streams differ from the recorded ones, and why; a test holds every line to it.

What is pending is built later: its line must go when it is, because then it is no longer seen.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

EVERY = ".*"
EXPERIMENTAL = ("session", "worktree")
PREVIEW = ("health", "session")
TURNS = r"1.*|2.*|32.*|42.*|45.*|5.*|6.*"


@dataclass(frozen=True)
class Difference:
    """Regular expressions over generation, recording and what is different, with the reason."""

    generation: str
    recordings: str
    what: str
    why: str

    def covers(self, generation: str, recording: str, what: str) -> bool:
        """Whether it speaks of this difference."""
        ours, theirs = (self.generation, self.recordings, self.what), (generation, recording, what)
        return all(re.fullmatch(pattern, text) for pattern, text in zip(ours, theirs, strict=True))


def _unbuilt(generation: str, recordings: str, *routes: str) -> list[Difference]:
    """Routes that are built later, each on a line of its own."""
    answers = [f"{re.escape(route)}: 40[45] for \\d+" for route in routes]
    return [Difference(generation, recordings, answer, "pending: not built yet") for answer in answers]


PENDING = [
    *_unbuilt("new", "01.*", *(f"GET /experimental/{name}" for name in EXPERIMENTAL)),
    *_unbuilt("new", "01.*", *(f"GET /api/{name}" for name in PREVIEW)),
    Difference(
        EVERY, "18.*", r"message.part.updated tool .* invalid: did not come", "pending: unknown tools fail here"
    ),
]

KEPT = [
    Difference(
        EVERY, "44.*", "a part grows: into something else", "its model repeats what we ask it for: our own words"
    ),
    Difference("new", "44.*", "session.diff: did not come", "a summary changes no file, so it says nothing of changes"),
    Difference("new", "03.*", "file.watcher.updated .*: did not come", "what git does to its own files is not told"),
    Difference(
        "old", "60_permission_bash_reject", r".*\.state\.metadata\.(command|patterns)", "the permission says that"
    ),
    Difference(EVERY, EVERY, r".*\bsnapshot", "a checkpoint is taken when a step changes something, not around each"),
    Difference("new", TURNS, "session.diff: did not come", "a step that changes nothing says nothing of changes"),
    Difference(
        "new",
        "4[02].*",
        r"session\.diff: \.diff\[\](\.patch)?",
        "after a revert it tells what still stands, not what went",
    ),
    Difference(EVERY, EVERY, r".*\.info\.summary", "what a prompt changed is asked for by its id, not written into it"),
    Difference("new", EVERY, r".*\.model\.variant", "models have no variants here"),
    Difference("new", EVERY, r"session\.updated: \.info\.model", "a session names its model with its first prompt"),
    Difference(
        "new", "4[0124].*|80.*", r".*\.permission", "a prompt's tools hold for that prompt, not for its session"
    ),
    Difference(
        "old", EVERY, r"POST .*/(message|command): \.(blocked|shouldRetry)", "notes of its engine that no schema names"
    ),
    Difference(
        EVERY,
        "19.*",
        r".*\.error\.data\.(responseBody|responseHeaders|metadata)",
        "what a provider's server says may hold secrets",
    ),
    Difference(EVERY, "19_.*", r".*(APIError|isRetryable|statusCode).*", "a refused key is a ProviderAuthError here"),
    Difference(
        "new", EVERY, r".*\.state\.metadata\.(truncated|display|loaded)", "notes of its tools that no schema names"
    ),
    Difference("old", "61.*", r"permission\.updated: \.metadata\.content", "the diff says what is written"),
    Difference(
        EVERY,
        "60_permission_bash_reject",
        "message.part.updated tool running bash: did not come",
        "a call runs once it may",
    ),
    Difference(
        "new",
        "51.*",
        "message.part.updated tool completed bash: did not come",
        "a stopped call is an error, as in the older one",
    ),
    Difference(
        "new", "62.*", ".*: did not come|POST .*/message: no answer for 200", "an always holds in its session alone"
    ),
    Difference("old", "62.*", ".*: did not come", "its prompt was never answered, so the request was not recorded"),
    Difference("new", "03.*", "session.(status )?idle: did not come", "to stop what does not run says nothing"),
    Difference("new", "03.*|81.*", r"GET /session: \[\]\.parentID", "a renamed session comes before a newer one"),
    Difference(
        "old",
        "14.*",
        r"GET /session/\{id\}/message: \[\]\.parts\[\]\.text",
        "a limit counts from the end, as in the newer one",
    ),
    Difference("old", "01.*|50.*", r"GET /.*: 200 for 40[04]", "a route of the newer one"),
    Difference(EVERY, "01.*|04.*", r"GET /experimental/tool: \[\]\.parameters\..*", "our tools take what they take"),
    Difference("old", "04.*", "DELETE /auth/acme: 200 for 404", "a route of the newer one"),
    Difference(
        EVERY,
        "04.*",
        r"POST /session/\{id\}/share: 200 for 500",
        "theirs had no network; ours shares on the server itself",
    ),
    Difference(
        "old", "04.*", r"DELETE /session/\{id\}/share: 200 for 404", "what is not shared stays so, as in the newer one"
    ),
    Difference(EVERY, "04.*", r"PUT /auth/acme: \.error\[\]\.path\[\]", "the message names the field"),
    Difference("new", "01.*", r"GET /provider/auth: \..*", "keys alone open providers here, no application of theirs"),
    Difference(
        EVERY, "04.*", r"POST /session/\{id\}/command: 400 for 500", "a command that is none is the caller's slip"
    ),
    Difference("old", "05.*", "POST /tui/select-session: 200 for 404", "a route of the newer one"),
    Difference("old", "01.*", "GET /vcs/diff: 400 for 404", "a route of the newer one"),
    Difference("new", "01.*", r"GET /agent: \[\]\.permission is object, not array", "as in the older one"),
    Difference("new", "01.*", "GET /(no/such/route)?: 404 for 200", "no web page of theirs"),
    Difference(EVERY, "01.*", r"GET /session: \[\]", "nothing was said here before"),
    Difference(EVERY, "01.*", r"GET /(config/providers|provider): \..*", "their catalog of free models"),
    Difference("new", "01.*", r"GET /api/model: \..*", "their catalog, and how they reach it themselves"),
    Difference("new", "01.*", r"GET /api/agent: \.data\[\]\.system", "what a built-in mode is told is not an answer"),
    Difference("new", "01.*", r"GET /skill: \[\]", "no skill is built in"),
    Difference(EVERY, "01.*|70.*", r"GET /(global/)?config: \..*", "what their directory had configured"),
    Difference("old", "01.*", r"GET /agent: \[\]\.tools\.\w+", "all its tools, so none is named"),
    Difference(EVERY, "02.*", r"GET /file(/content)?: 403 for \d+", "no name leads out of a project"),
    Difference(EVERY, "02.*", "GET /file: 404 for 500", "a folder that is not there is no fault of ours"),
    Difference(EVERY, "02.*", r"GET /find: 400 for (200|500)", "a pattern that is none is told"),
    Difference(EVERY, "02.*", r"GET /find/file: \[\]", "nothing has these letters"),
    Difference("new", "04.*", "GET /session/bad: 400 for 500", "as in the older one"),
    Difference("new", "04.*", r"(GET|POST) /session/\{id\}/(diff|abort): 404 for 200", "what is not there is told"),
    Difference("new", "04.*", r"POST /session: \._tag", "a 400 is one of both generations' named fields"),
    Difference("new", "04.*", r"PUT /session/\{id\}: 405 for 200", "no web page of theirs"),
    Difference("new", "04.*", r"POST /session/\{id\}/message: (200|400) for 500", "an unknown model or agent is told"),
    Difference("new", "04.*", "session.error UnknownError: did not come", "an unknown agent is told at once"),
    Difference(EVERY, "04.*", "OPTIONS /session: 200 for 204", "our framework's answer"),
    Difference("old", "04.*", r".*: 404 for 200", "what is not there is told, as by the newer one"),
    Difference("old", "04.*", r"PUT /session/\{id\}: 405 for 404", "the path is there, the method is not"),
    Difference("old", "04.*", r"POST /session(/\{id\}/message)?: 400 for (200|500)", "bad bodies and agents are told"),
    Difference("old", "04.*", r"POST /session/\{id\}/message:  is object, not string", "an unknown model is told"),
    Difference("old", "0[245].*|70.*", r".*: \.(data|error\[\])\.\w+", "its validator's own words"),
    Difference("new", "70.*", "PATCH /config: 400 for 200", "a key that nobody knows is told, as by the older one"),
]


def known(generation: str, recording: str, what: str) -> Difference | None:
    """The line that speaks of a difference."""
    return next((one for one in [*PENDING, *KEPT] if one.covers(generation, recording, what)), None)
