"""projects: routes.py (the projects themselves), members.py, ownership.py, settings.py."""

from . import members, ownership, settings
from .routes import blueprint

__all__ = ["blueprint", "members", "ownership", "settings"]
