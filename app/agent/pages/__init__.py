"""Pages of the agent: what Home and the composer offer, and the settings of providers, models, profiles and modes."""

from app.agent.pages import home, importing, modes, profiles, providers

__all__ = ["home", "importing", "modes", "profiles", "providers"]
