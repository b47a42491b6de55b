"""Labels of files: short texts that a client keeps beside a file's content, as extended attributes of it."""

from __future__ import annotations

import contextlib
import errno
import os
import re
from collections.abc import Mapping

from app.actor import Actor
from app.errors import Invalid, NoSpace, Problem
from app.files import world
from app.files.answers import shown, told
from app.files.changing import WRITE
from app.files.looking import READ
from app.files.world import Spot
from app.projects.service import Place

# Where E2B's envd keeps them, so that commands see them under the same names.
PREFIX = "user.e2b."
MOST = 64
_NAME = re.compile(r"[\x21-\x7e]{1,200}")
_VALUE = re.compile(r"[\x20-\x7e]{0,4096}")
_NONE_KEPT = (errno.EOPNOTSUPP, errno.ENOSYS)


def label(actor: Actor, place: Place, name: str, labels: Mapping[str, str]) -> None:
    """Give a file these labels beside those it has; raises Invalid, also where the disk keeps none."""
    check_labels(labels)
    spot = world.locate(actor, place, WRITE, name)
    world.refuse_protected(spot)
    with spot.root.open_read(spot.name) as file, told(name):
        for key, value in labels.items():
            _set(file.fileno(), name, key, value)


def labels_of(actor: Actor, place: Place, name: str) -> dict[str, str]:
    """Return the labels of a file; none of what is no regular file, or can't be opened."""
    spot = world.locate(actor, place, READ, name)
    return _labels(spot)


def check_labels(labels: Mapping[str, str]) -> None:
    """Raise Invalid for labels that can't be kept."""
    if len(labels) > MOST:
        raise Invalid(f"A file has at most {MOST} labels.", "metadata")
    for key, value in labels.items():
        if not _NAME.fullmatch(key) or not _VALUE.fullmatch(value):
            raise Invalid("A label has a name of 1 to 200 and a value of up to 4,096 ASCII characters.", "metadata")


def _set(descriptor: int, name: str, key: str, value: str) -> None:
    try:
        os.setxattr(descriptor, PREFIX + key, value.encode())
    except OSError as problem:
        if problem.errno in _NONE_KEPT:
            raise Invalid(f"The disk of {shown(name)} keeps no labels.", "metadata") from None
        if problem.errno in (errno.ERANGE, errno.E2BIG):
            raise NoSpace(f"{shown(name)} has no room for more labels.") from None
        raise


def _labels(spot: Spot) -> dict[str, str]:
    try:
        file = spot.root.open_read(spot.name)
    except Problem:
        return {}
    found: dict[str, str] = {}
    with file, contextlib.suppress(OSError):  # one that goes meanwhile, or a disk that keeps none
        for key in os.listxattr(file.fileno()):
            if key.startswith(PREFIX):
                value = os.getxattr(file.fileno(), key).decode("utf-8", "replace")
                found[key.removeprefix(PREFIX)] = value
    return found
