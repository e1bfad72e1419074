"""The recycle bin: routes.py; several machines at once, and the list as a file: bulk.py."""

from . import bulk
from .routes import blueprint

__all__ = ["blueprint", "bulk"]
