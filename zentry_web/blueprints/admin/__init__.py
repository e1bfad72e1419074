"""admin: routes.py (overview, machines, images, trail, health), people.py (accounts), prices.py (sizes)."""

from . import people, prices
from .routes import blueprint

__all__ = ["blueprint", "people", "prices"]
