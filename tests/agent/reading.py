"""What tests of tools do again and again: read a file as the engine remembers it, and hear a refusal."""

from __future__ import annotations

import pytest

from app.agent import tools
from app.agent.tools import ToolContext, ToolError


def read(context: ToolContext, path: str, **given: int) -> tools.Result:
    """Read a file and remember it, as the engine does from the transcript."""
    result = tools.run("read", context, {"filePath": path, **given})
    context.stamps.update(result.metadata["stamps"])
    return result


def refusal(tool: str, context: ToolContext, **given: object) -> str:
    """What a call is refused with."""
    with pytest.raises(ToolError) as caught:
        tools.run(tool, context, given)
    return str(caught.value)
