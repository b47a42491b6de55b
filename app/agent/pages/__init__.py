"""Pages of the agent: what Home and the composer offer, and the settings of providers, models, profiles and modes."""

from app.agent.pages import auto_approve, home, importing, instructions, model_keys, modes, profiles, providers

__all__ = ["auto_approve", "home", "importing", "instructions", "model_keys", "modes", "profiles", "providers"]
