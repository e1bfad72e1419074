"""internal: routes.py (what other processes hand in)."""

from .routes import blueprint

__all__ = ["blueprint"]
