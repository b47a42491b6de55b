"""Pages of the agent: what Home and the composer offer, and the settings of providers and models."""

from app.agent.pages import home, providers

__all__ = ["home", "providers"]
