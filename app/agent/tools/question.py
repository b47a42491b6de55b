"""The question tool: ask a person, and go on with what they chose."""

from __future__ import annotations

from pydantic import Field

from app.agent.tools.tool import Given, Prepared, Result, Tool, ToolContext, ToolError

DESCRIPTION = """\
Ask the people you work for, when only they can decide: a preference, a missing requirement, a choice \
between ways. Offer options, the one you recommend first; they may also write an answer of their own."""


class Option(Given):
    """One answer to choose."""

    label: str = Field(min_length=1, max_length=100, description="1 to 5 words")
    description: str = Field(default="", max_length=500, description="What it means")


class Question(Given):
    """One question."""

    question: str = Field(min_length=1, max_length=2_000, description="The whole question")
    header: str = Field(default="", max_length=30, description="A few words that name it")
    options: list[Option] = Field(default_factory=list, max_length=10, description="Answers to choose from")
    multiple: bool = Field(default=False, description="Whether several may be chosen")


class Input(Given):
    """The questions, asked together."""

    questions: list[Question] = Field(min_length=1, max_length=10, description="The questions")


def prepare(_ctx: ToolContext, given: Input) -> Prepared:
    """Hand over the questions: `run` wants the answers in the context."""
    asked = tuple(question.model_dump() for question in given.questions)
    return Prepared(_title(given), {"questions": list(asked)}, asked)


def run(ctx: ToolContext, given: Input) -> Result:
    """Put the answers into words."""
    if ctx.answers is None:
        raise ToolError("Nobody has answered.")
    answers = [*ctx.answers, *([] for _ in given.questions)][: len(given.questions)]
    told = ", ".join(
        f'"{question.question}"="{", ".join(chosen) or "Unanswered"}"'
        for question, chosen in zip(given.questions, answers, strict=True)
    )
    output = f"They answered: {told}. Go on with these answers in mind."
    return Result(output, _title(given), {"answers": answers})


def _title(given: Input) -> str:
    count = len(given.questions)
    return f"Asked {count} question{'' if count == 1 else 's'}"


TOOL = Tool("question", DESCRIPTION, Input, prepare, run)
