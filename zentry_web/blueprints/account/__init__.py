"""account: see routes.py."""

from . import security, tokens
from .routes import blueprint

__all__ = ["blueprint", "security", "tokens"]
