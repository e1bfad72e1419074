"""billing: routes.py (credits), bills.py (charges, opened), landing.py, spending.py (spend, what-if), statements.py,
vouchers.py (redeeming)."""

from . import bills, landing, spending, statements, vouchers
from .routes import blueprint

__all__ = ["bills", "blueprint", "landing", "spending", "statements", "vouchers"]
