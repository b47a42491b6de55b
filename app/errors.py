"""The dozen things that can go wrong. Verbs raise them; each dialect maps them once into its own envelope."""

from __future__ import annotations


class Problem(Exception):
    """Something to tell the caller: an HTTP status, a stable code, and a sentence without inside knowledge."""

    status = 500
    code = "INTERNAL"

    def __init__(
        self, message: str, *, field: str | None = None, retry_after: int | None = None, code: str | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        self.retry_after = retry_after
        if code:
            self.code = code


class Invalid(Problem):
    """The request is not of the form, or makes no sense."""

    status, code = 400, "INVALID"

    def __init__(self, message: str, field: str | None = None, *, code: str | None = None) -> None:
        super().__init__(message, field=field, code=code)


class Unauthenticated(Problem):
    """Nobody is signed in."""

    status, code = 401, "AUTH_REQUIRED"

    def __init__(self, message: str = "Sign in first.") -> None:
        super().__init__(message)


class Denied(Problem):
    """Somebody is signed in and may not do this; `key` is the grant that was missing, if it was one."""

    status, code = 403, "FORBIDDEN"

    def __init__(self, message: str, *, key: str = "", code: str | None = None) -> None:
        super().__init__(message, code=code)
        self.key = key


class NotFound(Problem):
    """There is no such thing, or not for this caller: the two look alike."""

    status, code = 404, "NOT_FOUND"

    def __init__(self, kind: str, id: str = "") -> None:
        super().__init__(f"{kind.capitalize()} not found: {id}" if id else f"{kind.capitalize()} not found.")
        self.kind = kind
        self.id = id


class TooSlow(Problem):
    """The request came too slowly to wait for the rest of it."""

    status, code = 408, "REQUEST_TIMEOUT"


class Conflict(Problem):
    """It was answered, changed or taken by somebody else meanwhile."""

    status, code = 409, "CONFLICT"


class Taken(Conflict):
    """Somebody has this name or address already; `about` is what was wanted."""

    code = "TAKEN"

    def __init__(self, message: str, about: str, *, field: str | None = None, code: str | None = None) -> None:
        super().__init__(message, field=field, code=code)
        self.about = about


class Busy(Conflict):
    """Something goes on in the session, and this must wait for its end; `id` is the session's."""

    def __init__(self, id: str, message: str = "The session is busy; stop it first.") -> None:
        super().__init__(message)
        self.id = id


class TooLarge(Problem):
    """The body is over the limit of its route."""

    status, code = 413, "TOO_LARGE"


class UnsupportedMedia(Problem):
    """The body has a type or an encoding that this route doesn't take."""

    status, code = 415, "UNSUPPORTED_MEDIA_TYPE"


class Misdirected(Problem):
    """The Host header names a server that we are not."""

    status, code = 421, "MISDIRECTED"


class Limited(Problem):
    """Too many of these at once or in a time; retry_after in seconds."""

    status, code = 429, "RATE_LIMITED"

    def __init__(self, message: str, retry_after: int, *, code: str | None = None) -> None:
        super().__init__(message, retry_after=retry_after, code=code)


class Unavailable(Problem):
    """Something we stand on doesn't answer, or isn't set up."""

    status, code = 503, "UNAVAILABLE"


class NoSpace(Problem):
    """The disk is full; nothing was half written."""

    status, code = 507, "INSUFFICIENT_STORAGE"
