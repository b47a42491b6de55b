"""Quiet hours: when somebody wants to be told nothing, on the clock of the place where they live."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones

from app.errors import Invalid
from app.notifications.things import Rules

DAY = 24 * 60
EVERY_DAY = "1234567"
# So many quiet times may follow one another without a gap; more would be a week without a word.
MOST = 8


def check(rules: Rules) -> None:
    """Raise Invalid for hours that are none, an unknown zone, or quiet without an end."""
    if rules.zone not in zones():
        raise Invalid("There is no such time zone: write it as Europe/Berlin.", "zone")
    if not (0 <= rules.quiet_from < DAY and 0 <= rules.quiet_to < DAY):
        raise Invalid("A time is between 00:00 and 23:59.", "quiet_from")
    if sorted(set(rules.quiet_days)) != list(rules.quiet_days) or not set(rules.quiet_days) <= set(EVERY_DAY):
        raise Invalid("Days are numbers from 1 for Monday to 7 for Sunday, each once and in order.", "quiet_days")
    if rules.quiet and not rules.quiet_days:
        raise Invalid("Choose at least one day that is quiet.", "quiet_days")
    if rules.quiet and rules.quiet_from == rules.quiet_to and rules.quiet_days == EVERY_DAY:
        raise Invalid("That would be quiet without an end.", "quiet_to")


def end_of(rules: Rules, now: int) -> int | None:
    """When the quiet ends that this moment lies in (both unix ms); None if it lies in none.

    Quiet begins on its days and may end on the day after; from and to the same are a whole day. A time that a change of
    the clock leaves out is the one that comes in its place, and of one that comes twice the first counts.
    """
    if not rules.quiet:
        return None
    end = now
    for _ in range(MOST):
        following = next((over for begun, over in _around(rules, end) if begun <= end < over), None)
        if following is None:
            break
        end = following
    return end if end > now else None


@lru_cache(maxsize=1)
def zones() -> frozenset[str]:
    """The names of the time zones that this machine knows."""
    return frozenset(available_timezones()) | {"UTC"}


def _around(rules: Rules, now: int) -> Iterator[tuple[int, int]]:
    """The quiet times that begin on the day of a moment, or on the one before."""
    zone = _zone(rules.zone)
    today = datetime.fromtimestamp(now / 1000, zone).date()
    for day in (today - timedelta(days=1), today):
        if str(day.isoweekday()) in rules.quiet_days:
            last = day if rules.quiet_from < rules.quiet_to else day + timedelta(days=1)
            yield _moment(day, rules.quiet_from, zone), _moment(last, rules.quiet_to, zone)


def _moment(day: date, minutes: int, zone: tzinfo) -> int:
    return int(datetime.combine(day, time(*divmod(minutes, 60)), zone).timestamp()) * 1000


def _zone(name: str) -> tzinfo:
    return UTC if name == "UTC" else ZoneInfo(name)
