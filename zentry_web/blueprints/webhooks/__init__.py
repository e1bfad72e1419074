"""webhooks: routes.py (what payment providers send)."""

from .routes import blueprint, receive

__all__ = ["blueprint", "receive"]
