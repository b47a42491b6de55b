"""Pages of the agent: what Home and the composer offer, and the settings of providers, models, profiles and modes."""

from app.agent.pages import home, modes, profiles, providers

__all__ = ["home", "modes", "profiles", "providers"]
