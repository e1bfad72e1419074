"""What a project's machines add up to, and what they cost: read in a constant number of statements."""

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from zentry_web.domain.projects.project import BusyMachine, ProjectStatistics
from zentry_web.domain.vms.state import ON, VMState
from zentry_web.models import DbProject, DbVM
from zentry_web.services.billing_service import BillingService
from zentry_web.services.monitoring_service import MonitoringService

BUSIEST = 5


def read_statistics(
    session: Session, project: DbProject, billing: BillingService, monitoring: MonitoringService
) -> ProjectStatistics:
    """The figures of one project. Seven statements at most."""
    sums = session.execute(
        select(DbVM.state, func.count(), func.sum(DbVM.vcpus), func.sum(DbVM.memory_mib), func.sum(DbVM.disk_gib))
        .where(DbVM.project_id == project.id, DbVM.deleted_at.is_(None))
        .group_by(DbVM.state)
    ).all()
    return ProjectStatistics(
        project_id=project.id,
        vms_by_state={VMState(row[0]): int(row[1]) for row in sums},
        vcpus=sum(int(row[2]) for row in sums),
        memory_mib=sum(int(row[3]) for row in sums),
        disk_gib=sum(int(row[4]) for row in sums),
        spend=billing.reports.project_spend(project.id, project.owner_id),
        busiest=_read_busiest(session, project.id, monitoring),
    )


def _read_busiest(session: Session, project_id: str, monitoring: MonitoringService) -> tuple[BusyMachine, ...]:
    running = select(DbVM.id, DbVM.name).where(DbVM.project_id == project_id, DbVM.deleted_at.is_(None))
    found = session.execute(running.where(DbVM.state.in_(ON)))
    names: dict[str, str] = {row.id: row.name for row in found}
    busiest = monitoring.get_busiest("", BUSIEST, others=list(names)) if names else []
    return tuple(
        BusyMachine(sample.vm_id, names[sample.vm_id], sample.cpu_percent, sample.at, line) for sample, line in busiest
    )
