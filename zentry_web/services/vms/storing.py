"""Room for what is stored of a machine beside it: snapshots, backups, images of its disk."""

from zentry_web.domain.credits.storage import GIB, StoredKind, begun_gib
from zentry_web.domain.projects.quota import Amounts
from zentry_web.domain.user import Actor
from zentry_web.models import DbVM
from zentry_web.services.billing_service import BillingService
from zentry_web.services.vms.basis import VMBasis


def price_of(billing: BillingService, kind: StoredKind, most_bytes: int) -> tuple[int, int]:
    """The GiB that so many bytes begin, and what those cost per hour. One statement."""
    gib = begun_gib(most_bytes)
    return gib, gib * billing.storage.list_prices()[kind].micro_per_gib_hour


def require_room(basis: VMBasis, vm: DbVM, kind: StoredKind, most_bytes: int, actor: Actor) -> None:
    """One more of up to so many bytes must fit the quota, be payable for a hold window, and fit the budget, in the
    caller's transaction. Raises QuotaExceededError, InsufficientCreditsError, BudgetExceededError."""
    gib, rate = price_of(basis.billing, kind, most_bytes)
    basis.quotas.require_room(vm.project_id, vm.owner_id, Amounts(stored_gib=gib), field="name")
    basis.billing.storage.require_funds(vm.owner_id, kind, most_bytes)
    basis.billing.budgets.require_room(vm, basis.billing.open_rate(vm.id) + rate, actor=actor)


def disk_bytes(disk_gib: int) -> int:
    """Of a full disk."""
    return disk_gib * GIB
