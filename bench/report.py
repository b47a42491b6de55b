"""The figures as a Markdown table and as JSON."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import asdict, dataclass, field
from pathlib import Path

from bench.figure import Figure, Goal


@dataclass
class Column:
    """What one server came to: its figures, for a figure's file why it has none, the machine's load."""

    name: str
    load: tuple[float, float] = (0.0, 0.0)
    figures: list[Figure] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)

    def find(self, goal: Goal) -> Figure | None:
        """The figure for a goal."""
        return next((figure for figure in self.figures if figure.goal == goal), None)


def table(columns: list[Column]) -> str:
    """Columns side by side; behind a peer's value how many times better the first column is."""
    names = [column.name for column in columns]
    lines = ["| figure | goal | " + " | ".join(names) + " |", "|---|---|" + "---|" * len(names)]
    for goal in dict.fromkeys(figure.goal for column in columns for figure in column.figures):
        first = columns[0].find(goal)
        cells = [_first(first), *(_cell(goal, first, column.find(goal)) for column in columns[1:])]
        lines.append(f"| {goal.name} | {_goal(goal)} | " + " | ".join(cells) + " |")
    return "\n".join(lines + _notes(columns))


def as_json(columns: list[Column]) -> str:
    """All of it, with what the machine was."""
    machine = {"cores": os.cpu_count(), "python": platform.python_version()}
    return json.dumps({"machine": machine, "columns": [asdict(column) for column in columns]}, indent=2)


def save(columns: list[Column], path: Path) -> None:
    """Write the JSON."""
    path.write_text(as_json(columns) + "\n")


def _goal(goal: Goal) -> str:
    if goal.value is None:
        return ""
    return f"{'≤' if goal.better == 'less' else '≥'} {goal.value:g} {goal.unit}"


def _first(figure: Figure | None) -> str:
    if figure is None:
        return "-"
    return _value(figure) + ("" if figure.goal.is_met(figure.value) else " **missed**")


def _cell(goal: Goal, ours: Figure | None, theirs: Figure | None) -> str:
    if theirs is None:
        return "-"
    return _value(theirs) + (f" (x {goal.ratio(ours.value, theirs.value):.1f})" if ours else "")


def _value(figure: Figure) -> str:
    digits = 2 if figure.value < 10 else 1 if figure.value < 100 else 0
    return f"{figure.value:.{digits}f} {figure.goal.unit}"


def _notes(columns: list[Column]) -> list[str]:
    notes = [
        f"- {column.name}, {figure.goal.name}: {figure.note}"
        for column in columns
        for figure in column.figures
        if figure.note
    ]
    notes += [
        f"- {column.name}, {name}: not measured, {why}" for column in columns for name, why in column.failures.items()
    ]
    loads = ", ".join(f"{column.name} {column.load[0]:.1f} to {column.load[1]:.1f}" for column in columns)
    return ["", f"Load of the machine ({os.cpu_count()} cores) while measured: {loads}.", *notes]
