"""Playing the plan: services do what people ask for, the worker's parts do what the worker would have done."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

from zentry_web.adapters.clock import ManualClock
from zentry_web.adapters.compute.simulator.control import SimulatorControl
from zentry_web.adapters.compute.simulator.driver import SimulatorCompute
from zentry_web.config import Config
from zentry_web.demo.funds import DemoFunds
from zentry_web.demo.plan import Life, LogIn, Plan, Turn
from zentry_web.domain.user import ANONYMOUS_ID, Actor, Role, User
from zentry_web.domain.vms.catalogue import Size
from zentry_web.services.errors import AuthenticationRequiredError
from zentry_web.services.service_container import ServiceContainer
from zentry_web.worker.machine_events import MachineEvents
from zentry_web.worker.operations import OperationRunner
from zentry_web.worker.reconcile import Reconciler

ADMIN_EMAIL = "admin@example.com"
TICK = timedelta(hours=6)  # the biller may run late: charges are cut at fixed points
_BROWSERS = (
    "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Safari/605.1.15",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0 Safari/537.36",
)


class ClockMoves(threading.Event):
    """A stop signal for the operation runner whose waiting moves the clock and takes no time."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__()
        self._clock = clock

    def wait(self, timeout: float | None = None) -> bool:
        self._clock.advance(timeout or 0)
        return False


@dataclass
class PlayedRun:
    """One stretch of running, for the metrics."""

    vm_id: str
    owner_id: str
    started: datetime
    ended: datetime | None = None


@dataclass
class PlayedMachine:
    """A machine of the story with what the services made of it."""

    life: Life
    vm_id: str
    owner: User
    runs: list[PlayedRun] = field(default_factory=list)


class Player:
    """Carries out a plan in the order of time. Use once."""

    def __init__(
        self,
        container: ServiceContainer,
        driver: SimulatorCompute,
        clock: ManualClock,
        plan: Plan,
        config: Config,
        password: str,
    ) -> None:
        self._auth = container.auth
        self._projects = container.projects
        self._vms = container.vms
        self._billing = container.billing
        self._funds = DemoFunds(self._billing)
        self._clock = clock
        self._plan = plan
        self._password = password
        self._control = SimulatorControl(config.data / "simulator.sqlite", clock)
        self._boot = timedelta(seconds=config.simulator_boot_seconds + 1)
        events = MachineEvents()
        self._runner = OperationRunner(
            self._vms, driver, events, ClockMoves(clock),
            worker="demo", stop_timeout_seconds=config.stop_timeout_seconds, checkpoint=lambda name: None,
        )  # fmt: skip
        self._reconciler = Reconciler(self._vms, container.monitoring, driver, events, clock)
        self._people: list[User] = []
        self._project_ids: list[str] = []
        self._sizes: dict[str, Size] = {}
        self._machines: dict[Life, PlayedMachine] = {}

    def play(self) -> None:
        """Everything that happens, from the plan's start to its end."""
        self._sizes = {size.id: size for size in self._vms.list_sizes(include_inactive=True)}
        self._make_admin()
        self._make_people()
        for at, action in sorted(self._moments(), key=lambda moment: moment[0]):
            self._move_to(at)
            action()
        self._move_to(self._plan.end)
        self._tick()
        self._funds.top_up_all(self._people, days=14)
        self._control.close()

    def runs(self) -> list[PlayedRun]:
        """When which machine ran; of machines that still exist."""
        return [run for machine in self._machines.values() if machine.life.is_kept for run in machine.runs]

    # -- the order of things --------------------------------------------------------------------

    def _moments(self) -> Iterator[tuple[datetime, Callable[[], None]]]:
        plan = self._plan
        waves: dict[int, list[Life]] = {}
        for life in plan.lives:
            waves.setdefault(life.wave, []).append(life)
        for lives in waves.values():
            yield lives[0].launched, partial(self._launch, lives)
        for life in plan.lives:
            for at, change in life.changes:
                yield at, partial(self._change, life, change)
        for log_in in plan.log_ins:
            yield log_in.at, partial(self._log_in, log_in)
        tick = plan.start + TICK
        while tick < plan.end:
            yield tick, self._tick
            tick += TICK

    def _move_to(self, moment: datetime) -> None:
        if moment > self._clock.now():
            self._clock.set(moment)

    def _step(self) -> None:
        """Let a little time pass, so that ids, which hold the time, keep the order of what happened."""
        self._clock.advance(milliseconds=20)

    # -- people ---------------------------------------------------------------------------------

    def _make_admin(self) -> None:
        token = self._auth.ensure_first_admin_link()
        assert token is not None
        self._step()
        signed_in = self._auth.redeem_link(
            token, self._password, name="Robin Keeper", email=ADMIN_EMAIL, actor=_anonymous(250)
        )
        self._funds.admin = _actor(signed_in.user, 250)

    def _make_people(self) -> None:
        """Everybody signs up within the first half hour and makes their projects."""
        pause = timedelta(minutes=30) / max(1, len(self._plan.people))
        for number, person in enumerate(self._plan.people):
            self._clock.advance(pause.total_seconds())
            data = {"email": person.email, "name": person.name, "password": self._password}
            self._people.append(self._auth.signup(data, actor=_anonymous(number)))
            self._step()
            self._funds.welcome(self._people[-1])
        for project in self._plan.projects:
            self._step()
            owner = self._people[project.owner]
            made = self._projects.create_project({"name": project.name}, owner, actor=_actor(owner, project.owner))
            self._project_ids.append(made.id)

    def _log_in(self, log_in: LogIn) -> None:
        credentials = {"email": self._plan.people[log_in.person].email, "password": self._password}
        self._step()
        if log_in.right_password:
            self._auth.login(credentials, actor=_anonymous(log_in.person))
            return
        try:
            self._auth.login(credentials | {"password": "not the password"}, actor=_anonymous(log_in.person + 100))
        except AuthenticationRequiredError:
            return  # just what the audit trail should show

    # -- machines -------------------------------------------------------------------------------

    def _launch(self, lives: list[Life]) -> None:
        project = self._plan.projects[lives[0].project]
        owner = self._people[project.owner]
        image = self._vms.list_images()[0]
        rate = sum(self._sizes[life.size_id].running_micro_per_hour for life in lives)
        self._funds.make_sure(owner, rate)
        for life in lives:
            self._step()
            data = {
                "project_id": self._project_ids[life.project],
                "name": life.name,
                "size_id": life.size_id,
                "image_id": image.id,
            }
            vm = self._vms.create_vm(data, owner, actor=_actor(owner, project.owner))
            self._machines[life] = PlayedMachine(life, vm.id, owner)
            self._work()
            self._machines[life].runs.append(PlayedRun(vm.id, owner.id, self._clock.now()))
        self._come_up()

    def _change(self, life: Life, change: Turn) -> None:
        machine = self._machines[life]
        actor = _actor(machine.owner, self._plan.projects[life.project].owner)
        self._step()
        if change == Turn.START:
            self._funds.make_sure(machine.owner, self._sizes[life.size_id].running_micro_per_hour)
            self._vms.start_vm(machine.vm_id, actor=actor)
            self._work()
            machine.runs.append(PlayedRun(machine.vm_id, machine.owner.id, self._clock.now()))
            self._come_up()
            return
        if change == Turn.POWER_LOST:
            self._reconciler.run()
            self._control.stop(machine.vm_id)
            self._clock.advance(2)
            self._reconciler.run()
        elif change == Turn.STOP:
            self._vms.stop_vm(machine.vm_id, actor=actor)
        else:
            self._vms.delete_vm(machine.vm_id, life.name, actor=actor)
        self._work()
        machine.runs[-1].ended = self._clock.now()

    def _work(self) -> None:
        """Do the operation that was just asked for, as the worker does it."""
        claim = self._runner.claim()
        if claim is not None:
            self._step()
            self._runner.run(claim)

    def _come_up(self) -> None:
        """Wait for the guests to boot and see that they answer."""
        self._clock.advance(self._boot.total_seconds())
        self._reconciler.run()

    def _tick(self) -> None:
        """What the worker does all the time: confirm what runs, charge for it, renew holds; and admins top up."""
        self._reconciler.run()
        self._billing.runs.settle(self._clock.now())
        for person in self._people:
            self._funds.make_sure(person, 0)
        self._billing.runs.renew_holds()


def _anonymous(number: int) -> Actor:
    return Actor(ANONYMOUS_ID, Role.USER, *_origin(number))


def _actor(user: User, number: int) -> Actor:
    return Actor(user.id, user.role, *_origin(number))


def _origin(number: int) -> tuple[str, str]:
    """An address (from a block that documentation may use) and a browser."""
    return f"198.51.100.{number % 250 + 1}", _BROWSERS[number % len(_BROWSERS)]
