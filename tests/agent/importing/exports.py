"""Files as Roo writes them: an export of today with every kind of provider, and what older versions wrote."""

from __future__ import annotations

from typing import Any

import orjson

from app.agent.importing.kinds import KINDS, NONE_HERE

USUAL = {"rateLimitSeconds": 0, "diffEnabled": True, "fuzzyMatchThreshold": 1, "consecutiveMistakeLimit": 3}


def key(name: str) -> str:
    """A key that must be seen nowhere."""
    return f"sk-{name}-0123456789abcdefNEVERSHOWN"


PROFILES: dict[str, dict[str, Any]] = {
    "default": {
        "id": "k3j9x0qw2e", "apiProvider": "anthropic", "apiModelId": "claude-sonnet-4-5", "apiKey": key("anthropic"),
        "modelTemperature": None, "todoListEnabled": True, **USUAL,
    },
    "GPT": {
        "id": "m2n8v4c6x1", "apiProvider": "openai-native", "apiModelId": "gpt-5.1",
        "openAiNativeApiKey": key("openai"), "reasoningEffort": "high", **USUAL,
    },
    "Gemini": {
        "id": "gem0000001", "apiProvider": "gemini", "apiModelId": "gemini-2.5-pro", "geminiApiKey": key("gemini"),
        "googleGeminiBaseUrl": "https://generativelanguage.googleapis.com", **USUAL,
    },
    "Router": {
        "id": "opr0000001", "apiProvider": "openrouter", "openRouterApiKey": key("openrouter"),
        "openRouterModelId": "anthropic/claude-sonnet-4.5", "openRouterBaseUrl": "https://openrouter.ai/api/v1",
    },
    "House models": {
        "id": "oai0000001", "apiProvider": "openai", "openAiBaseUrl": "https://llm.example.com/v1",
        "openAiApiKey": key("house"), "openAiModelId": "qwen3-coder", "openAiStreamingEnabled": True,
        "openAiHeaders": {"X-Team": "hidden-header"}, "openAiCustomModelInfo": {"maxTokens": -1, "contextWindow": 1},
    },
    "Local": {"id": "oll0000001", "apiProvider": "ollama", "ollamaModelId": "qwen3", "ollamaBaseUrl": ""},
    "Studio": {"id": "lms0000001", "apiProvider": "lmstudio", "lmStudioModelId": "devstral"},
    "Cloud": {"id": "bed0000001", "apiProvider": "bedrock", "awsAccessKey": key("aws"), "apiModelId": "x"},
    "Empty": {"id": "emp0000001"},
}  # fmt: skip

SETTINGS: dict[str, Any] = {
    "lastShownAnnouncementId": "nov-2025", "pinnedApiConfigs": {"k3j9x0qw2e": True},
    "customInstructions": "Answer in whole sentences.",
    "autoApprovalEnabled": True, "alwaysAllowReadOnly": True, "alwaysAllowWrite": False, "alwaysAllowExecute": True,
    "alwaysAllowMcp": True, "alwaysAllowModeSwitch": True, "alwaysAllowSubtasks": False,
    "allowedCommands": ["git status", "npm test"], "deniedCommands": ["rm"], "allowedMaxRequests": None,
    "writeDelayMs": 1000, "soundEnabled": False, "language": "en", "telemetrySetting": "disabled",
    "codebaseIndexConfig": {"codebaseIndexEnabled": False}, "openRouterImageApiKey": key("image"),
    "mode": "architect",
    "experiments": {"powerSteering": False},
}  # fmt: skip

SERVERS: dict[str, Any] = {
    "clock": {
        "command": "python3", "args": ["peer.py"], "env": {"PEER_KEY": key("clock")}, "timeout": 60,
        "alwaysAllow": ["echo"], "disabledTools": ["crash"],
    },
    "far away": {
        "type": "streamable-http", "url": "https://mcp.example.com/mcp", "headers": {"Authorization": key("header")},
        "disabled": True,
    },
    "old": {"type": "sse", "url": "https://mcp.example.com/sse"},
    "both": {"command": "python3", "url": "https://mcp.example.com/mcp"},
    "asking": {"command": "python3", "args": ["peer.py"], "env": {"TOKEN": "${env:HOME_TOKEN}"}, "disabled": True},
}  # fmt: skip


def export(**more: Any) -> dict[str, Any]:
    """An export of today; more keys stand beside the two that it has."""
    return {
        "providerProfiles": {
            "currentApiConfigName": "GPT",
            "apiConfigs": {name: dict(one) for name, one in PROFILES.items()},
            "modeApiConfigs": {"code": "m2n8v4c6x1", "architect": "k3j9x0qw2e", "gone": "k3j9x0qw2e"},
            "migrations": {"rateLimitSecondsMigrated": True, "openAiHeadersMigrated": True},
        },
        "globalSettings": dict(SETTINGS),
        **more,
    }


def of_every_kind() -> dict[str, Any]:
    """An export with a profile of each kind that Roo has or had."""
    configs: dict[str, Any] = {}
    for name, kind in KINDS.items():
        configs[name] = {"id": f"id-{name}", "apiProvider": name, kind.model: f"model-of-{name}"}
        if kind.key:
            configs[name][kind.key] = key(name)
    for name in NONE_HERE:
        configs[name] = {"id": f"id-{name}", "apiProvider": name, "apiModelId": "x", "rooApiKey": key(name)}
    return {"providerProfiles": {"currentApiConfigName": "anthropic", "apiConfigs": configs}}


def raw(data: Any, *, bom: bool = False) -> bytes:
    """A file with this in it."""
    return (b"\xef\xbb\xbf" if bom else b"") + orjson.dumps(data, option=orjson.OPT_INDENT_2)
