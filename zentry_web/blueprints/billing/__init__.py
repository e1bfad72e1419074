"""billing: routes.py (credits), bills.py (charges, opened), landing.py, spending.py (spend, what-if), statements.py."""

from . import bills, landing, spending, statements
from .routes import blueprint

__all__ = ["bills", "blueprint", "landing", "spending", "statements"]
