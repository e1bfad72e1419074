"""The plan of an order: what it changes in resources, price, runway, quota and budget. Only reads."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from zentry_web.domain.credits.billing import Quote
from zentry_web.domain.language import _
from zentry_web.domain.money import cost
from zentry_web.domain.projects.project import ProjectAction
from zentry_web.domain.projects.quota import Amounts, Resource, Room
from zentry_web.domain.user import Actor
from zentry_web.domain.vms.catalogue import Size
from zentry_web.domain.vms.plan import ChangePlan, Facts, PlanSide
from zentry_web.domain.vms.vm import VM
from zentry_web.services.base_service import BaseService, Core
from zentry_web.services.errors import PlanChangedError
from zentry_web.services.vms.basis import VMBasis
from zentry_web.services.vms.quotas import size_amounts

_SECOND = timedelta(seconds=1)


class VMPlanning(BaseService):
    """A part of VMService."""

    name = "vm_planning"

    def __init__(self, core: Core, basis: VMBasis) -> None:
        super().__init__(core)
        self._billing, self._quotas = basis.billing, basis.quotas

    def compare(
        self, before: Sequence[VM], after: Sequence[VM], facts: Facts, *, actor: Actor, keeps_disks: bool = False
    ) -> ChangePlan:
        """What becomes of these machines, which the actor sees, when they are as ``after`` says (left out: gone).
        Runway, quota and budget where all are in one project whose funds the actor may see. ``keeps_disks``: what is
        gone leaves its disk in the quota (the recycle bin). A constant number of statements."""
        sides = _side(before), _side(after)
        projects = {vm.project_id for vm in before}
        if len(projects) != 1 or not before[0].allows(ProjectAction.FUNDS):
            return ChangePlan(*sides, facts)
        some = before[0]
        balance = self._billing.get_runway(some.owner_id)
        more = sides[1].rate - sides[0].rate
        burn = max(0, balance.burn_micro_per_hour + more)
        left = self._quotas.get_room(some.project_id, Amounts(), actor=actor).left
        left_after = _left(left, *sides, keeps_disks=keeps_disks)
        status = self._billing.budgets.get_status(some.project_id, actor=actor)
        forecast = status.projected_micro if status else None
        later = forecast + cost(more, (status.end - status.now) // _SECOND) if status and forecast is not None else None
        now = replace(sides[0], burn=balance.burn_micro_per_hour, runs_out_at=balance.runs_out_at, left=left)
        then = replace(sides[1], burn=burn, runs_out_at=balance.runs_out_with(burn), left=left_after)
        budget = status.budget.amount_micro if status else None
        return ChangePlan(replace(now, forecast_micro=forecast), replace(then, forecast_micro=later), facts, budget)

    def of_launch(self, quote: Quote, size: Size, room: Room) -> ChangePlan:
        """What a launch changes for who pays for it. Its prices are what the form promises (``shown_price``): no facts.
        No statement."""
        more = size_amounts(size).times(quote.count)
        running = quote.running_micro_per_hour * quote.count
        after = PlanSide(more.vms, more.vcpus, more.memory_mib, more.disk_gib, running)
        left = _left(room.left, PlanSide(0, 0, 0, 0, 0), after, keeps_disks=False)
        burn = quote.burn_after_micro_per_hour
        before = PlanSide(0, 0, 0, 0, 0, burn - running, quote.runs_out_before, room.left)
        return ChangePlan(before, replace(after, burn=burn, runs_out_at=quote.runs_out_at, left=left), {})


def require_plan(shown: Facts | None, now: Facts) -> None:
    """Refuse what was confirmed by another plan than is true now; None: no plan was shown. To be called under the locks
    under which it is done. Raises PlanChangedError."""
    if shown is not None and shown != now:
        message = _("Something changed since this page was opened: nothing was ordered yet.")
        raise PlanChangedError(message, details={"shown": shown, "now": now})


def _side(vms: Sequence[VM]) -> PlanSide:
    return PlanSide(
        machines=len(vms),
        vcpus=sum(vm.vcpus for vm in vms),
        memory_mib=sum(vm.memory_mib for vm in vms),
        disk_gib=sum(vm.disk_gib for vm in vms),
        rate=sum(vm.rate_micro_per_hour for vm in vms),
    )


def _left(
    left: tuple[tuple[Resource, int], ...], before: PlanSide, after: PlanSide, *, keeps_disks: bool
) -> tuple[tuple[Resource, int], ...]:
    """What the quotas leave when this has been done."""
    freed = {
        Resource.VMS: before.machines - after.machines,
        Resource.VCPUS: before.vcpus - after.vcpus,
        Resource.MEMORY: before.memory_mib - after.memory_mib,
        Resource.DISK: 0 if keeps_disks else before.disk_gib - after.disk_gib,
    }
    return tuple((resource, max(0, amount + freed.get(resource, 0))) for resource, amount in left)
