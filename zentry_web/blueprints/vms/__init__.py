"""vms: see routes.py; changing the size is in resize.py."""

from . import resize
from .routes import blueprint

__all__ = ["blueprint", "resize"]
