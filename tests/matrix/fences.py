"""The headers that every answer of every route must carry (THREATS 2.9)."""

from __future__ import annotations

import re
from typing import Any

EXACT = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
ONCE = ("Content-Security-Policy", "Permissions-Policy", "Referrer-Policy", "Cache-Control", "X-Request-Id")
SOURCES = re.compile(r"(?:default-src 'none')|(?:^sandbox(;|$| allow-scripts))")


def lacking(answer: Any, *, is_kept: bool = False) -> str:
    """What an answer lacks, in words; "" if nothing. `is_kept` for files that browsers may keep."""
    headers = answer.headers
    wrong = [name for name, value in EXACT.items() if headers.getlist(name) != [value]]
    wrong += [name for name in ONCE if len(headers.getlist(name)) != 1]
    if wrong:
        return ", ".join(wrong)
    policy = headers["Content-Security-Policy"]
    if "unsafe" in policy or "*" in policy or not SOURCES.search(policy):
        return "a strict policy"
    if headers["Referrer-Policy"] not in ("no-referrer", "same-origin"):
        return "a quiet Referrer-Policy"
    if any(not word.strip().endswith("=()") for word in headers["Permissions-Policy"].split(",")):
        return "an empty Permissions-Policy"
    if not is_kept and "no-store" not in headers["Cache-Control"]:
        return "no-store"
    kind = headers.get("Content-Type", "")
    if kind.startswith("text/") and not kind.startswith("text/event-stream") and "charset=utf-8" not in kind.lower():
        return "a charset"
    if re.search(r"\d", headers.get("Server", "")) or "X-Powered-By" in headers:
        return "silence about the server"
    return ""
