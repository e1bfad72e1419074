"""projects: routes.py (the projects themselves), members.py."""

from . import members
from .routes import blueprint

__all__ = ["blueprint", "members"]
