"""vms: see routes.py; changing the size is in resize.py, moving into another project in move.py."""

from . import move, resize
from .routes import blueprint

__all__ = ["blueprint", "move", "resize"]
