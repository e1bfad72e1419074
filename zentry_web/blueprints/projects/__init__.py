"""projects: routes.py (the projects themselves), images.py, members.py, ownership.py, settings.py."""

from . import images, members, ownership, settings
from .routes import blueprint

__all__ = ["blueprint", "images", "members", "ownership", "settings"]
