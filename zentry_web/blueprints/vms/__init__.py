"""vms: see routes.py; changing the size is in resize.py, moving into another project in move.py, labels in
labels.py, several machines at once in bulk.py."""

from . import bulk, labels, move, resize
from .routes import blueprint

__all__ = ["blueprint", "bulk", "labels", "move", "resize"]
