"""Lists as people save them."""

from dataclasses import dataclass
from enum import StrEnum

MOST_VIEWS = 20  # of one list
LONGEST_NAME = 40
LONGEST_QUERY = 1000


class ListKind(StrEnum):
    """Which list a view is of."""

    VMS = "vms"
    ALL_VMS = "all_vms"  # everybody's, for admins
    PEOPLE = "people"  # accounts, for admins
    PROJECTS = "projects"
    TRANSACTIONS = "transactions"
    CHARGES = "charges"
    ALL_PROJECTS = "all_projects"  # as what follows, for admins
    LEDGER = "ledger"
    AUDIT = "audit"
    BIN = "bin"  # the recycle bin


@dataclass(frozen=True, slots=True)
class SavedView:
    """A list with a name. ``query`` is what stands behind the question mark of its address."""

    id: str
    kind: ListKind
    name: str
    query: str
    is_default: bool  # what the list shows when it is opened
