"""auth: see routes.py."""

from . import by_mail, email, factor, oidc
from .routes import blueprint

__all__ = ["blueprint", "by_mail", "email", "factor", "oidc"]
