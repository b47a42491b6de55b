"""Skills: folders with a SKILL.md that tells how to do one kind of task, of a project or of who runs the server."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from app.agent import front_matter
from app.errors import Problem
from app.files.paths import Root

FILE = "SKILL.md"
OF_PROJECT = (".opencode/skill", ".opencode/skills", ".claude/skills", ".agents/skills")
OF_USER = (".config/opencode/skill", ".config/opencode/skills", ".claude/skills", ".agents/skills")
NAME = re.compile(r"[a-z0-9]+(?:[-_][a-z0-9]+)*")
LONGEST_NAME, LONGEST_DESCRIPTION = 64, 1_024
LARGEST = 1024 * 1024
MOST = 200


@dataclass(frozen=True)
class Skill:
    """A skill: its folder as an absolute path, and whether it came with the project rather than from its user."""

    name: str
    description: str
    folder: str
    of_project: bool
    body: str = ""


def found(directory: Path) -> list[Skill]:
    """The skills that can be used in a directory, by name; a project's go before its user's of the same name."""
    skills: dict[str, Skill] = {}
    for top, folders, of_project in ((directory, OF_PROJECT, True), (Path.home(), OF_USER, False)):
        for folder in folders:
            for skill in _in_folder(top, folder, of_project=of_project):
                skills.setdefault(skill.name, skill)
    return [skills[name] for name in sorted(skills)][:MOST]


def _in_folder(top: Path, folder: str, *, of_project: bool) -> Iterator[Skill]:
    # A user's folders may be links of their own, a project's must not lead out of it.
    root, below = (Root(top), folder) if of_project else (Root((top / folder).resolve()), "")
    try:
        entries = [entry for entry in root.scan(below) if entry.is_dir][:MOST]
    except Problem:
        return
    for entry in entries:
        skill = _read(root, entry.path, of_project=of_project)
        if skill is not None:
            yield skill


def _read(root: Root, folder: str, *, of_project: bool) -> Skill | None:
    """The skill in a folder; None if it has no SKILL.md, or one without a name and a description that can be used."""
    try:
        split = front_matter.split(root.read_text(f"{folder}/{FILE}", LARGEST))
        absolute = root.absolute(folder)
    except Problem:
        return None
    head, body = split or ({}, "")
    name, description = front_matter.text_of(head, "name"), " ".join(front_matter.text_of(head, "description").split())
    if not NAME.fullmatch(name) or len(name) > LONGEST_NAME or not description:
        return None
    return Skill(name, description[:LONGEST_DESCRIPTION], absolute, of_project, body)
