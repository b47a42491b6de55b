"""What models cost and hold, from genai-prices; it takes 27 MB, so it is loaded when first wanted."""

from __future__ import annotations

import re
from functools import cache

from app.agent.providers import Usage
from app.agent.providers.anthropic_messages import ADAPTIVE_SINCE, version
from app.agent.providers.known import ModelInfo

# genai-prices lists what Google's cloud sells of others under the same name; the Gemini API serves these.
SERVED = {"google": ("gemini", "gemma")}
# Long prompts, from 200,000 tokens on, cost more at some; the price we show is that of the others.
SAMPLE = 100_000
# Models of these names answer no chat with tools, or are not on offer any more.
_OTHER = re.compile(
    r"image|audio|tts|whisper|embed|realtime|transcribe|moderation|dall-e|search|sora|babbage|davinci|curie|ada\b|"
    r"instruct|decision|ocr|guard|live|chatgpt|-3\.5|gpt-4$|gpt-4-|deep-research|cyber|voice|"
    r"claude-(v1|2|3)|gemini-(1|pro|flash-1)|omni|banana|robotics|gemma-?\d?n?-2",
    re.IGNORECASE,
)


def cost(provider: str, model: str, usage: Usage) -> float | None:
    """The dollars of one call at the provider of this name in genai-prices; None if it knows no price."""
    import genai_prices

    told = genai_prices.Usage(
        input_tokens=usage.input + usage.cache_read + usage.cache_write,
        output_tokens=usage.output + usage.reasoning,
        cache_read_tokens=usage.cache_read,
        cache_write_tokens=usage.cache_write,
    )
    try:
        return float(genai_prices.calc_price(told, model, provider_id=provider).total_price)
    except (LookupError, ValueError):
        return None


def window(provider: str, model: str) -> int | None:
    """How many tokens a model can hold; None if genai-prices does not say."""
    return next((one.context for one in models(provider) if one.id == model), None)


@cache
def models(provider: str) -> tuple[ModelInfo, ...]:
    """The chat models of a provider by name, with the price of a million tokens each way."""
    from genai_prices import data_snapshot

    found = next((one for one in data_snapshot.get_snapshot().providers if one.id == provider), None)
    if found is None:
        return ()
    ours = tuple(one for one in found.models if one.id.startswith(SERVED.get(provider, "")))
    chats = [one for one in ours if not one.deprecated and not _OTHER.search(one.id)]
    return tuple(
        ModelInfo(
            id=one.id,
            name=one.name or one.id,
            context=one.context_window,
            price_in=_price(provider, one.id, Usage(input=SAMPLE)),
            price_out=_price(provider, one.id, Usage(output=SAMPLE)),
            price_cached=_price(provider, one.id, Usage(cache_read=SAMPLE)),
            price_written=_price(provider, one.id, Usage(cache_write=SAMPLE)),
            reasoning=True if _is_asked_to_think(provider, one.id) else None,
        )
        for one in sorted(chats, key=lambda one: one.id)
    )


def _is_asked_to_think(provider: str, model: str) -> bool:
    """Whether our own wire has it think unasked; the price list does not say which others do."""
    return provider == "anthropic" and (version(model) or (0, 0)) >= ADAPTIVE_SINCE


def _price(provider: str, model: str, sample: Usage) -> float | None:
    found = cost(provider, model, sample)
    return None if found is None else round(found * 1_000_000 / SAMPLE, 6)


def model_cost(info: ModelInfo, usage: Usage) -> float | None:
    """The dollars of one call at the prices written for a model."""
    if info.price_in is None or info.price_out is None:
        return None
    cached = info.price_in if info.price_cached is None else info.price_cached
    written = info.price_in if info.price_written is None else info.price_written
    spent = usage.input * info.price_in + usage.cache_write * written + usage.cache_read * cached
    return (spent + (usage.output + usage.reasoning) * info.price_out) / 1_000_000
