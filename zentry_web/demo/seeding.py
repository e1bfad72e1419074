"""``zentry seed-demo``: when it may run, what it does in which order, and what it prints."""

import secrets
from datetime import UTC, datetime, timedelta

from zentry_web.adapters.clock import ManualClock
from zentry_web.adapters.compute.simulator.driver import SimulatorCompute
from zentry_web.composition import build_container, make_compute
from zentry_web.config import Config
from zentry_web.demo.history import fill_metrics
from zentry_web.demo.plan import Plan, make_plan
from zentry_web.demo.play import ADMIN_EMAIL, Player
from zentry_web.domain.money import format_credits
from zentry_web.domain.user import Role
from zentry_web.domain.vms.state import VMState
from zentry_web.migrate import migrate
from zentry_web.services.service_container import ServiceContainer

NAMES_SHOWN = 10
NO_QUOTAS = {name: None for name in Config.model_fields if name.startswith("quota_")}  # the story is of any size
WORKER_QUIET = timedelta(seconds=60)


class DemoRefused(Exception):
    """Demo data may not be made here. ``str(error)`` says why."""


def seed(
    config: Config,
    *,
    users: int,
    vms: int,
    days: int,
    seed: int = 1,
    now: datetime | None = None,
    password: str | None = None,
) -> str:
    """Fill an empty Zentry with ``users`` people who own ``vms`` machines, with ``days`` of history up to ``now``.

    What happens is decided by ``seed``; ids and, unless it is given, the password are random. Returns a summary
    with the log-in names and the password. Raises DemoRefused unless the hypervisor is the simulator and nobody
    uses this Zentry yet.
    """
    if config.compute != "simulator":
        raise DemoRefused("Demo data is only made on the simulator: set ZENTRY_COMPUTE=simulator.")
    migrate(config)
    end = (now or datetime.now(UTC)).replace(microsecond=0)
    plan = make_plan(users=users, vms=vms, start=end - timedelta(days=days), end=end, seed=seed)
    clock = ManualClock(plan.start)
    lifted = NO_QUOTAS | {"rate_factor": 1000}  # years pass in minutes
    container = build_container(config.model_copy(update=lifted), clock=clock)
    driver = make_compute(config, clock=clock)
    assert isinstance(driver, SimulatorCompute)
    try:
        _refuse_if_used(container, driver)
        _refuse_if_too_large(plan, container, driver)
        password = password or secrets.token_urlsafe(12)
        player = Player(container, driver, clock, plan, config, password)
        player.play()
        samples = fill_metrics(container, driver, player.runs(), end, hours=config.metrics_hours)
        return _summary(plan, container, password, samples)
    finally:
        driver.close()
        container.close()


def _refuse_if_used(container: ServiceContainer, driver: SimulatorCompute) -> None:
    people = container.users.list_users(limit=2)
    only_placeholder = [row.user.role for row in people] == [Role.ADMIN] and _admin_is_open(container)
    if people and not only_placeholder:
        raise DemoRefused("There are accounts in this database already. Demo data goes into an empty one only.")
    if driver.machines():
        raise DemoRefused("The simulator has machines already. Give ZENTRY_DATA a new folder.")
    beats = container.monitoring.list_heartbeats()
    if any(datetime.now(UTC) - beat.at < WORKER_QUIET for beat in beats):
        raise DemoRefused("Zentry is running on this data, or was a minute ago. Stop it first.")


def _admin_is_open(container: ServiceContainer) -> bool:
    """Whether the only admin has never set a password."""
    return container.auth.ensure_first_admin_link() is not None


def _refuse_if_too_large(plan: Plan, container: ServiceContainer, driver: SimulatorCompute) -> None:
    sizes = {size.id: size for size in container.vms.list_sizes(include_inactive=True)}
    capacity = driver.capacity()
    disk = sum(sizes[life.size_id].disk_gib for life in plan.lives)
    memory = sum(sizes[life.size_id].memory_mib for life in plan.lives)
    if disk > capacity.disk_free_gib or memory > capacity.memory_free_mib:
        raise DemoRefused(f"The simulated host has no room for {len(plan.lives)} machines.")


def _summary(plan: Plan, container: ServiceContainer, password: str, samples: int) -> str:
    counts = container.vms.count_by_state(None)
    transfers = sum(container.billing.books.ledger.get_system_balances().values())
    checks = container.billing.verify()
    failed = [check.id for check in checks if not check.ok]
    if failed or transfers:
        raise RuntimeError(f"the demo's ledger breaks {', '.join(failed) or 'the sum of all accounts'}")
    spent = container.users.list_users(limit=len(plan.people) + 1)
    credits = sum(row.wallet_micro + row.held_micro for row in spent)
    emails = [person.email for person in plan.people]
    more = f" and {len(emails) - NAMES_SHOWN} more" if len(emails) > NAMES_SHOWN else ""
    states = ", ".join(f"{counts[state]} {state}" for state in VMState if counts.get(state))
    lines = [
        f"Demo data from {plan.start:%Y-%m-%d} to {plan.end:%Y-%m-%d %H:%M} UTC:",
        f"  {len(emails)} people, {len(plan.projects)} projects, machines: {states or 'none'}",
        f"  {format_credits(credits)} credits left; {samples} samples of metrics",
        f"  the ledger's {len(checks)} checks pass",
        f"Sign in as {', '.join(emails[:NAMES_SHOWN])}{more}",
        f"or as the admin {ADMIN_EMAIL}. Everybody's password (shown only now): {password}",
    ]
    return "\n".join(lines)
