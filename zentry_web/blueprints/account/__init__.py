"""account: see routes.py."""

from . import security
from .routes import blueprint

__all__ = ["blueprint", "security"]
