"""admin: routes.py (overview, machines, images, trail, health), people.py (accounts), prices.py (sizes), ledger.py,
vouchers.py, approvals.py (and refunds)."""

from . import approvals, ledger, people, prices, vouchers
from .routes import blueprint

__all__ = ["approvals", "blueprint", "ledger", "people", "prices", "vouchers"]
