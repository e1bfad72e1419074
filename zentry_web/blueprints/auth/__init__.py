"""auth: see routes.py."""

from . import by_mail, factor, oidc
from .routes import blueprint

__all__ = ["blueprint", "by_mail", "factor", "oidc"]
