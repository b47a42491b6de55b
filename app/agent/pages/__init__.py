"""Pages of the agent: what Home and the composer offer, and the settings of providers, models and profiles."""

from app.agent.pages import auto_approve, home, instructions, profiles, providers

__all__ = ["auto_approve", "home", "instructions", "profiles", "providers"]
