"""admin: routes.py (overview, machines, images, trail, health), people.py (accounts), prices.py (sizes), ledger.py,
vouchers.py."""

from . import ledger, people, prices, vouchers
from .routes import blueprint

__all__ = ["blueprint", "ledger", "people", "prices", "vouchers"]
