"""Why something could not be told, and what the answers of others' servers mean."""

from __future__ import annotations

from app import outbound
from app.errors import TooLarge

# An address that is no longer there says so with these.
_GONE = (404, 410)
_LATER = (408, 425, 429)


class Later(Exception):
    """It may be tried again."""


class Refused(Exception):
    """It will never be taken."""


class Gone(Exception):
    """Nothing will be taken there any more."""


def post(url: str, body: bytes, headers: dict[str, str], gone: tuple[int, ...] = _GONE) -> None:
    """Hand a body over and read what the answer means. Raises Later, Refused or Gone."""
    try:
        answer = outbound.request("POST", url, content=body, headers=headers)
    except outbound.NotAllowed as refused:
        raise Refused(str(refused)) from None
    except outbound.Failed as failed:
        raise Later(f"nobody answered there ({type(failed).__name__})") from None
    except TooLarge:
        raise Refused("the server there answered at too great length") from None
    if answer.is_success:
        return
    why = f"the server there answered {answer.status_code}"
    if answer.status_code in gone:
        raise Gone(why)
    if answer.status_code in _LATER or answer.status_code >= 500:
        raise Later(why)
    raise Refused(why)
