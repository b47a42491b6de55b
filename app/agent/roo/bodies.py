"""What Roo's clients send; the fields stand in the order in which they are checked."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

from app.errors import Invalid

MOST, SHOWN = 1000, 10
Word = Annotated[str, StringConstraints(max_length=128)]
Text = Annotated[str, StringConstraints(max_length=1_000_000)]


class Body(BaseModel):
    """Unknown keys are let through, others are taken at their word: "true" is no boolean."""

    model_config = ConfigDict(extra="ignore", strict=True, defer_build=True)


class Words(Body):
    """A message with its pictures: data URLs, addresses, or paths in the workspace."""

    message: Text
    images: Annotated[list[Text], Field(max_length=20)] | None = None

    @field_validator("images")
    @classmethod
    def _no_blank(cls, images: list[str] | None) -> list[str] | None:
        if images and not all(image.strip() for image in images):
            raise ValueError("an image is empty")
        return images

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.message.strip() and not self.images:
            raise Invalid("Invalid message format", "message")
        return self


class Wanted(Words):
    """In which mode and with which profile a task begins."""

    mode: Word | None = None
    profile: Word | None = None


class Waits(Body):
    """Whether the answer waits until the task ends or needs somebody; `timeout` in ms."""

    wait_for_response: bool = False
    wait_for_completion: bool = False
    timeout: Annotated[float | int, Field(gt=0, le=86_400_000, allow_inf_nan=False)] | None = None

    @property
    def waits(self) -> bool:
        """Whether either edition's flag is set."""
        return self.wait_for_response or self.wait_for_completion

    @property
    def patience(self) -> float:
        """How long, in seconds."""
        return (self.timeout or (300_000 if self.wait_for_completion else 120_000)) / 1000


class Said(Waits, Words):
    """POST /api/messages; what the last base has is checked first."""


class NewTask(Waits, Wanted):
    """POST /api/tasks."""

    auto_approve: bool = False


class Verdict(Body):
    """What is answered; `ask` names the one that was seen, of several."""

    response: Literal["approve", "reject"]
    ask: Word | None = None


class Answer(Waits, Verdict):
    """POST /api/tasks/respond."""


class Listing(BaseModel):
    """GET /api/tasks: what is no number, or below 1, counts as not given."""

    model_config = ConfigDict(extra="ignore")
    limit: int = SHOWN
    offset: int = 0

    @field_validator("limit", mode="before")
    @classmethod
    def _limit(cls, given: Any) -> int:
        return min(_number(given) or SHOWN, MOST)

    @field_validator("offset", mode="before")
    @classmethod
    def _offset(cls, given: Any) -> int:
        return min(_number(given), 2**53)


def _number(given: Any) -> int:
    """The number that a text begins with, 0 if there is none above it."""
    digits = str(given).strip()
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 16 else 0
