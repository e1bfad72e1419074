"""admin: routes.py (overview, machines, images, trail, health), people.py (accounts), prices.py (sizes), ledger.py,
price_changes.py (new prices from a date on), payments.py, vouchers.py, approvals.py (and refunds)."""

from . import approvals, ledger, payments, people, price_changes, prices, vouchers
from .routes import blueprint

__all__ = ["approvals", "blueprint", "ledger", "payments", "people", "price_changes", "prices", "vouchers"]
