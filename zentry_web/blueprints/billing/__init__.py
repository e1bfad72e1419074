"""billing: see routes.py (credits), bills.py (charges, opened), spending.py (spend, projections, what-if)."""

from . import bills, spending
from .routes import blueprint

__all__ = ["bills", "blueprint", "spending"]
