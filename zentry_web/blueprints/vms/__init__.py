"""vms: see routes.py; the list of them is in listing.py, launching in launch.py, changing the size in resize.py, moving
into another project in move.py, its name in rename.py, labels in labels.py, consoles in console.py, starting and
stopping in orders.py, another disk in rebuild.py, the rescue system in rescue.py, a new password in password.py,
snapshots in snapshots.py, backups in backups.py, when
they are made in schedules.py, when it is started again by itself in restarts.py, an image of its disk in images.py,
what is done with it at set times in timers.py, several at once in bulk.py."""

from . import (
    backups,
    bulk,
    console,
    images,
    labels,
    launch,
    listing,
    move,
    orders,
    password,
    rebuild,
    rename,
    rescue,
    resize,
    restarts,
    schedules,
    snapshots,
    timers,
)
from .routes import blueprint

__all__ = [
    "backups",
    "blueprint",
    "bulk",
    "console",
    "images",
    "labels",
    "launch",
    "listing",
    "move",
    "orders",
    "password",
    "rebuild",
    "rename",
    "rescue",
    "resize",
    "restarts",
    "schedules",
    "snapshots",
    "timers",
]
