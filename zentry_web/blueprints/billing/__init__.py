"""billing: see routes.py (credits), bills.py (charges, opened)."""

from . import bills
from .routes import blueprint

__all__ = ["bills", "blueprint"]
