"""admin: routes.py (overview, machines, images, trail, health), people.py (accounts), prices.py (sizes),
vouchers.py."""

from . import people, prices, vouchers
from .routes import blueprint

__all__ = ["blueprint", "people", "prices", "vouchers"]
