"""vms: see routes.py; changing the size is in resize.py, moving into another project in move.py, labels in
labels.py."""

from . import labels, move, resize
from .routes import blueprint

__all__ = ["blueprint", "labels", "move", "resize"]
