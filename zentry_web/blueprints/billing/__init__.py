"""billing: routes.py (credits), bills.py (charges, opened), landing.py, prices.py, spending.py (spend, what-if),
statements.py, details.py (billing details, receipts), top_up.py and pay.py (payments), vouchers.py (redeeming).
"""

from . import bills, details, landing, pay, prices, spending, statements, top_up, vouchers
from .routes import blueprint

__all__ = ["bills", "blueprint", "details", "landing", "pay", "prices", "spending", "statements", "top_up", "vouchers"]
