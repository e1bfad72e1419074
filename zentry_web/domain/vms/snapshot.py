"""Snapshots of a machine as pages show them. Pure rules."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

MOST_NAME, MOST_NOTE = 60, 500
MOST_SNAPSHOTS = 30  # of one machine


def aside_name(operation_id: str) -> str:
    """What the hypervisor calls what a machine was before the revert of that id."""
    return f"snap_{operation_id}"


class SnapshotState(StrEnum):
    MAKING = "making"
    READY = "ready"
    DELETING = "deleting"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """``gib`` and what it costs are None until it is made. ``level``: how deep it stands in the tree."""

    id: str
    vm_id: str
    name: str
    note: str
    state: SnapshotState
    parent_id: str | None
    has_memory: bool
    size_name: str
    is_scheduled: bool
    created_at: datetime
    gib: int | None = None
    rate_micro_per_hour: int | None = None
    kept_until: datetime | None = None  # kept so long for nothing: the credits had run out
    is_current: bool = False  # the machine goes on from it
    level: int = 0

    @property
    def is_ready(self) -> bool:
        return self.state == SnapshotState.READY


def as_tree(snapshots: Iterable[Snapshot], level_most: int = 6) -> list[tuple[Snapshot, int]]:
    """Each below the one it goes on from, with its depth; the oldest first."""
    found = list(snapshots)
    ids = {each.id for each in found}
    children: dict[str | None, list[Snapshot]] = {}
    for each in found:
        children.setdefault(each.parent_id if each.parent_id in ids else None, []).append(each)
    ordered: list[tuple[Snapshot, int]] = []
    waiting = [(each, 0) for each in reversed(children.get(None, []))]
    while waiting:
        each, level = waiting.pop()
        ordered.append((each, min(level, level_most)))
        waiting += [(child, level + 1) for child in reversed(children.get(each.id, []))]
    return ordered
