"""A mode as people write it for Roo: its shape, and what is wrong with one, in words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import orjson
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, PlainValidator, ValidationError
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from app import db
from app.approvals import service as approvals

MOST, MOST_FAULTS = 100, 20
LONGEST_TEXT = 50_000
LONGEST_PATTERNS = 10_000  # all together, since each costs some time to compile
# What a mode can be given. The last two grant nothing: there is no browser any more, and every mode may switch.
GROUPS = ("read", "edit", "command", "mcp", "browser", "modes")
_SLUG = re.compile(r"[A-Za-z0-9-]{1,64}")
_INVISIBLE = str.maketrans(
    {
        "\u00a0": " ",
        **dict.fromkeys("\u200b\u200c\u200d\u2060\ufeff", None),
        **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212", "-"),
        **dict.fromkeys("\u2018\u2019", "'"),
        **dict.fromkeys("\u201c\u201d", '"'),
    }
)


class BadModes(ValueError):
    """What holds modes cannot be used; the message says in words where and why."""


def _words(text: str) -> str:
    """A text that every place can keep; half a character cannot be written anywhere."""
    return db.storable(text).encode("utf-8", "replace").decode()


def _slug(text: str) -> str:
    if not _SLUG.fullmatch(text):
        raise PydanticCustomError("slug", "has 1 to 64 letters, digits and dashes, and nothing else")
    return text


def _pattern(text: str) -> str:
    if why := approvals.fault_of_pattern(text):
        raise PydanticCustomError("pattern", "is no pattern that can be used: {why}", {"why": why})
    return text


def _said(text: str) -> str:
    if not text.strip():
        raise PydanticCustomError("empty", "is empty")
    return text


def _longest(most: int) -> AfterValidator:
    def check(text: str) -> str:
        if len(text) > most:
            raise PydanticCustomError("long", "has more than {most} characters", {"most": most})
        return text

    return AfterValidator(check)


Text = Annotated[str, AfterValidator(_words), _longest(LONGEST_TEXT)]
Line = Annotated[str, AfterValidator(_words), _longest(1_000)]


class _Shape(BaseModel):
    """Written in camel case; what else is written is left alone."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True, extra="ignore", strict=True)


class _Limits(_Shape):
    """What stands beside a group: the pattern of the paths it may be used on, and words for it."""

    file_regex: Annotated[str, AfterValidator(_pattern)] | None = None
    description: Line | None = None


@dataclass(frozen=True)
class Group:
    """A group of tools that a mode has; `pattern` bounds what `edit` changes, `why` says it in words."""

    name: str
    pattern: str = ""
    why: str = ""
    is_pair: bool = False

    @property
    def shown(self) -> str | list[Any]:
        """As Roo writes it: a word, or a word and its limits."""
        limits = {"fileRegex": self.pattern, "description": self.why}
        return [self.name, {key: value for key, value in limits.items() if value}] if self.is_pair else self.name


def _group(given: Any) -> Group:
    if isinstance(given, Group):
        return given
    name, limits = given, None
    if isinstance(given, list) and len(given) == 2:
        name, limits = given
    if not isinstance(name, str) or name not in GROUPS or (limits is None and isinstance(given, list)):
        raise PydanticCustomError(
            "group", "is no group: {groups}, or a list of one and its limits", {"groups": ", ".join(GROUPS[:4])}
        )
    if limits is None:
        return Group(name)
    bounds = _Limits.model_validate(limits)
    return Group(name, bounds.file_regex or "", bounds.description or "", is_pair=True)


def _once(groups: tuple[Group, ...]) -> tuple[Group, ...]:
    names = [group.name for group in groups]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise PydanticCustomError("twice", "names {name} twice", {"name": twice})
    return groups


class ModeConfig(_Shape):
    """A mode that somebody wrote. Without any group it has only the tools that every mode has."""

    slug: Annotated[str, AfterValidator(_slug)]
    name: Annotated[str, AfterValidator(_words), AfterValidator(_said), _longest(200)]
    role_definition: Annotated[Text, AfterValidator(_said)]
    groups: Annotated[
        tuple[Annotated[Group, PlainValidator(_group)], ...],
        BeforeValidator(lambda given: tuple(given) if isinstance(given, list) else given),
        AfterValidator(_once),
    ]
    custom_instructions: Text | None = None
    when_to_use: Text | None = None
    description: Line | None = None

    def shown(self) -> dict[str, Any]:
        """The mode in Roo's spelling; what it does not say is left out."""
        texts = {"slug": self.slug, "name": self.name, "roleDefinition": self.role_definition}
        more = {
            "whenToUse": self.when_to_use,
            "description": self.description,
            "customInstructions": self.custom_instructions,
        }
        kept = {key: value for key, value in more.items() if value}
        return {**texts, **kept, "groups": [group.shown for group in self.groups]}


def read(text: str) -> list[ModeConfig]:
    """The modes of a file in YAML, or JSON; raises BadModes for one that has something wrong anywhere."""
    given = _data(text)
    if given is None:
        return []
    if not isinstance(given, dict) or not isinstance(given.get("customModes"), list):
        raise BadModes("It has no list customModes.")
    return validated(given["customModes"])


def validated(given: Sequence[Any]) -> list[ModeConfig]:
    """Modes of plain data; raises BadModes that names each one with something wrong, its field, and what it is."""
    if len(given) > MOST:
        raise BadModes(f"It has more than {MOST} modes.")
    if sum(_length_of_patterns(one) for one in given) > LONGEST_PATTERNS:
        raise BadModes(f"Its patterns have more than {LONGEST_PATTERNS} characters all together.")
    found: list[ModeConfig] = []
    wrong: list[str] = []
    for number, one in enumerate(given, 1):
        try:
            mode = ModeConfig.model_validate(one)
        except ValidationError as error:
            wrong += [f"{_named(number, one)}: {fault}" for fault in faults(error)]
            continue
        if any(mode.slug == other.slug for other in found):
            wrong.append(f"{_named(number, one)}: slug: another mode before it has the same.")
        found.append(mode)
    if wrong:
        raise BadModes("\n".join(wrong[:MOST_FAULTS]))
    return found


def faults(error: ValidationError) -> list[str]:
    """What is wrong with one mode: each field and why, in words."""
    return [_fault(one) for one in error.errors(include_url=False, include_input=False)]


def written(modes: Iterable[ModeConfig]) -> str:
    """Modes as the text of a .roomodes file, in YAML."""
    from app.agent import plain_yaml  # its library is loaded with the first file, not with the server

    return plain_yaml.dump({"customModes": [mode.shown() for mode in modes]})


def _data(text: str) -> Any:
    """The data of a file. Quotes that were made pretty are plain ones, unless the file can be read only as it is."""
    from app.agent import plain_yaml  # as above

    wrong = ""
    for spelling in dict.fromkeys((text.translate(_INVISIBLE), text.removeprefix("\ufeff"))):
        for load in (plain_yaml.load, orjson.loads):
            try:
                return load(spelling)
            except ValueError as error:
                wrong = wrong or " ".join(str(error).split())[:300]
    raise BadModes(f"It cannot be read: {wrong}.")


def _length_of_patterns(given: Any) -> int:
    groups = given.get("groups") if isinstance(given, Mapping) else None
    pairs = [one[1] for one in groups if isinstance(one, list) and len(one) == 2] if isinstance(groups, list) else []
    return sum(len(str(one.get("fileRegex", ""))) for one in pairs if isinstance(one, Mapping))


def _named(number: int, given: Any) -> str:
    slug = given.get("slug") if isinstance(given, Mapping) else None
    return f"mode {number} ({slug[:64]})" if isinstance(slug, str) and slug else f"mode {number}"


def _fault(error: Any) -> str:
    where = ".".join(str(part + 1) if isinstance(part, int) else part for part in error["loc"])
    known = {
        "missing": "is missing",
        "string_type": "is no text",
        "tuple_type": "is no list",
        "model_type": "is no mapping",
        "model_attributes_type": "is no mapping",
    }
    what = known.get(error["type"], error["msg"].rstrip("."))
    return f"{where}: {what}." if where else f"{what}."
