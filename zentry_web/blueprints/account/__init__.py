"""account: see routes.py."""

from . import leaving, security, tokens
from .routes import blueprint

__all__ = ["blueprint", "leaving", "security", "tokens"]
