"""admin: routes.py (overview, machines, images, trail, health), people.py (accounts), prices.py (sizes), ledger.py,
price_changes.py (new prices from a date on), vouchers.py, approvals.py (and refunds)."""

from . import approvals, ledger, people, price_changes, prices, vouchers
from .routes import blueprint

__all__ = ["approvals", "blueprint", "ledger", "people", "price_changes", "prices", "vouchers"]
