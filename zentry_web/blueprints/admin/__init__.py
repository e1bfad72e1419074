"""admin: routes.py (overview, images, trail, health), people.py (accounts), person.py (one of them),
prices.py (sizes), ledger.py, price_changes.py (new prices from a date on), payments.py, quotas.py, vouchers.py,
approvals.py (and refunds), books.py (revenue, liability, write-offs), announcements.py (banners), settings.py,
viewing.py (seeing the pages of others), vms.py and projects.py (of all), bulk.py (many accounts at once)."""

from . import (
    announcements,
    approvals,
    books,
    bulk,
    ledger,
    payments,
    people,
    person,
    price_changes,
    prices,
    projects,
    quotas,
    settings,
    viewing,
    vms,
    vouchers,
)
from .routes import blueprint

__all__ = [
    "announcements",
    "approvals",
    "blueprint",
    "books",
    "bulk",
    "ledger",
    "payments",
    "people",
    "person",
    "price_changes",
    "prices",
    "projects",
    "quotas",
    "settings",
    "viewing",
    "vms",
    "vouchers",
]
