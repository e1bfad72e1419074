"""auth: see routes.py."""

from . import by_mail
from .routes import blueprint

__all__ = ["blueprint", "by_mail"]
