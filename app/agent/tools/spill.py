"""Output that is too long for a model: it gets the beginning and the end, and a file that holds all of it."""

from __future__ import annotations

from dataclasses import replace

from app import ids, redact
from app.agent.tools.tool import SCRATCH, Result, ToolContext
from app.errors import Problem

OUTPUT_LIMIT = 50 * 1024
HOW = "read parts of it with read (offset, limit) or search it with grep"


def fitting(ctx: ToolContext, result: Result) -> Result:
    """The result, its output cut to OUTPUT_LIMIT characters if it has more; then all of it lies in /tmp."""
    # Secrets go before the cut: half of one would be found by nobody.
    whole = redact.text(result.output)
    if len(whole) <= OUTPUT_LIMIT:
        return result
    half = OUTPUT_LIMIT // 2
    name, told = _kept(ctx, whole)
    output = f"{whole[:half]}\n\n[... {len(whole) - 2 * half:,} characters left out; {told} ...]\n\n{whole[-half:]}"
    metadata = {**result.metadata, "truncated": True, **({"outputPath": name} if name else {})}
    return replace(result, output=output, metadata=metadata)


def _kept(ctx: ToolContext, whole: str) -> tuple[str, str]:
    """Keep the whole output; its name in the scratch directory ("" if it can't be kept), and what to say."""
    name = f"{ids.random('output')}.txt"
    try:
        ctx.make_scratch().write_bytes(name, whole.encode("utf-8", "replace"), 0o600)
    except Problem as problem:
        return "", f"the whole output could not be kept: {problem.message}"
    path = f"{SCRATCH}/{name}"
    return path, f"the whole output, {whole.count(chr(10)) + 1:,} lines, is in {path}: {HOW}"
