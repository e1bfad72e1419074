"""billing: routes.py (credits), bills.py (charges, opened), landing.py, spending.py (spend, what-if), statements.py,
top_up.py (payments), vouchers.py (redeeming).
"""

from . import bills, landing, spending, statements, top_up, vouchers
from .routes import blueprint

__all__ = ["bills", "blueprint", "landing", "spending", "statements", "top_up", "vouchers"]
