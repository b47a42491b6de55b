"""Pages of the agent: what Home and the composer offer, and the settings of providers, models and profiles."""

from app.agent.pages import home, importing, profiles, providers

__all__ = ["home", "importing", "profiles", "providers"]
