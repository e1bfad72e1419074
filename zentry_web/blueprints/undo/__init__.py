"""undo: see routes.py."""

from .routes import blueprint

__all__ = ["blueprint"]
