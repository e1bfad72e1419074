"""projects: routes.py (the projects themselves), members.py, settings.py."""

from . import members, settings
from .routes import blueprint

__all__ = ["blueprint", "members", "settings"]
