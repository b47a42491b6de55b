"""What a model's server answers instead of an answer, told apart: key, overflow, worth another try or not.

The error objects are much alike: `{"error": {"message", "type" | "code" | "status", "details"}}` at OpenAI, at
Anthropic (platform.claude.com/docs/en/api/errors) and at Google (a google.rpc.Status).
"""

from __future__ import annotations

import email.utils
import re
import time
from collections.abc import Iterator, Mapping
from typing import Any

from app.agent.providers import ProviderFailed

OVERFLOW = re.compile(
    r"context.{0,20}(length|window|limit)|maximum context|too many tokens|prompt is too long|"
    r"token count.{0,40}exceeds",
    re.IGNORECASE,
)
TOO_LONG = {"context_length_exceeded", "request_too_large"}
NO_KEY = {"invalid_api_key", "authentication_error", "permission_error", "UNAUTHENTICATED", "API_KEY_INVALID"}
NOT_WORTH_RETRYING = {
    "insufficient_quota",
    "billing_hard_limit_reached",
    "billing_error",
    "model_not_found",
    "not_found_error",
    "invalid_request_error",
}
LONGEST_MESSAGE = 2_000
LONGEST_BODY = 20_000


def refusal(status: int | None, answer: Any, raw: str = "", headers: Mapping[str, str] | None = None) -> ProviderFailed:
    """Put a refusal into words; `status` is None for an error that came inside a stream."""
    told = answer[0] if isinstance(answer, list) and answer else answer
    error = _error(told)
    message = str(error.get("message") or _message_of(told) or f"The model's server answered {status}")
    codes = _codes(error)
    overflow = status == 413 or bool(codes & TOO_LONG) or bool(status in (None, 400) and OVERFLOW.search(message))
    auth = status in (401, 403) or bool(codes & NO_KEY)
    headers = headers or {}
    return ProviderFailed(
        message=message[:LONGEST_MESSAGE],
        status=status,
        retryable=_is_worth_retrying(status, codes, error, headers) and not overflow and not auth,
        retry_after=retry_after(headers, error),
        auth=auth,
        overflow=overflow,
        body=raw[:LONGEST_BODY],
        codes=frozenset(codes - {""}),
    )


def retry_after(headers: Mapping[str, str], error: Mapping[str, Any]) -> float | None:
    """Seconds to wait, by any of its forms: milliseconds (OpenAI), seconds, a date, Google's RetryInfo ("39s")."""
    try:
        if said := headers.get("retry-after-ms"):
            return max(0.0, float(said) / 1000)
        if said := headers.get("retry-after", ""):
            if said.replace(".", "", 1).isdigit():
                return float(said)
            return max(0.0, email.utils.parsedate_to_datetime(said).timestamp() - time.time())
        delays = (str(detail["retryDelay"]) for detail in _details(error) if detail.get("retryDelay"))
        return next((max(0.0, float(delay.rstrip("s"))) for delay in delays), None)
    except (ValueError, TypeError):
        return None


def _is_worth_retrying(
    status: int | None, codes: set[str], error: Mapping[str, Any], headers: Mapping[str, str]
) -> bool:
    if said := headers.get("x-should-retry"):
        return said == "true"
    if codes & NOT_WORTH_RETRYING or "PerDay" in str(error.get("details") or ""):
        # A quota of the day is not back within our fifteen minutes.
        return False
    return status is None or status in (408, 409, 425, 429) or status >= 500


def _error(answer: Any) -> Mapping[str, Any]:
    error = answer.get("error") if isinstance(answer, dict) else None
    if isinstance(error, dict):
        return error
    return {"message": error} if isinstance(error, str) else {}


def _codes(error: Mapping[str, Any]) -> set[str]:
    """The words for what went wrong; OpenAI's own code goes before its broader type."""
    named = str(error.get("code") or error.get("type") or "")
    reasons = {str(detail.get("reason") or "") for detail in _details(error)}
    return {named, str(error.get("status") or ""), *reasons}


def _details(error: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    details = error.get("details")
    for detail in details if isinstance(details, list) else ():
        if isinstance(detail, dict):
            yield detail


def _message_of(answer: Any) -> str:
    if not isinstance(answer, dict):
        return ""
    said = answer.get("message") or answer.get("detail")
    return said if isinstance(said, str) else ""
