"""The story that demo data tells: who, which projects, which machines, what happens when. Pure and seeded."""

import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

EXTRA_DELETED = 12  # one machine in so many more is launched and deleted again
LONGEST_WAVE = 25  # machines launched together at most
YOUNGEST = timedelta(minutes=20)  # what is left to every machine to come up and run
SIZES = {"size_nano": 45, "size_micro": 34, "size_small": 16, "size_medium": 4, "size_large": 1}
MOST_LOG_INS = 80

_FIRST = (
    "Alice", "Bruno", "Carmen", "Daniel", "Esra", "Farid", "Greta", "Hugo", "Ines", "Jonas", "Kaja", "Leon",
    "Mira", "Nils", "Olga", "Pavel", "Quinn", "Rosa", "Samir", "Tilda", "Umut", "Vera", "Wanda", "Yusuf", "Zoe",
)  # fmt: skip
_LAST = (
    "Ahlgren", "Baumann", "Castillo", "Dubois", "Eriksen", "Ferrari", "Gruber", "Horvath", "Ivanova", "Jansen",
    "Keller", "Lindqvist", "Moreau", "Novak", "Okafor", "Petrov", "Rossi", "Silva", "Tanaka", "Weber",
)  # fmt: skip
_PROJECTS = ("Website", "Shop", "Data platform", "Internal tools", "Research", "Staging")
_ROLES = ("web", "api", "worker", "db", "cache", "queue", "search", "build", "edge", "batch")


class Turn(StrEnum):
    """What may happen to a machine after its launch."""

    STOP = "stop"
    START = "start"
    DELETE = "delete"
    POWER_LOST = "power_lost"  # goes off though nobody asked Zentry


@dataclass(frozen=True, slots=True)
class Person:
    name: str
    email: str


@dataclass(frozen=True, slots=True)
class PlannedProject:
    owner: int  # index into ``Plan.people``
    name: str


@dataclass(frozen=True, slots=True)
class Life:
    """One machine from its launch on. ``wave`` tells which machines were launched together."""

    wave: int
    project: int  # index into ``Plan.projects``
    name: str
    size_id: str
    launched: datetime
    changes: tuple[tuple[datetime, Turn], ...]

    @property
    def is_kept(self) -> bool:
        """Still there at the end."""
        return all(change != Turn.DELETE for _, change in self.changes)


@dataclass(frozen=True, slots=True)
class LogIn:
    """Somebody logs in, or tries to."""

    at: datetime
    person: int
    right_password: bool


@dataclass(frozen=True, slots=True)
class Plan:
    start: datetime
    end: datetime
    people: tuple[Person, ...]
    projects: tuple[PlannedProject, ...]
    lives: tuple[Life, ...]
    log_ins: tuple[LogIn, ...]


def make_plan(*, users: int, vms: int, start: datetime, end: datetime, seed: int) -> Plan:
    """The plan for ``users`` people who have ``vms`` machines in the end. The same arguments give the same plan."""
    rng = random.Random(f"demo/{seed}")  # noqa: S311 (nothing secret)
    people = tuple(_person(number, rng) for number in range(users))
    projects = _projects(users, vms, rng)
    lives = _lives(projects, vms, start, end, rng)
    return Plan(start, end, people, projects, lives, _log_ins(users, start, end, rng))


def _person(number: int, rng: random.Random) -> Person:
    first = _FIRST[number % len(_FIRST)]
    last = _LAST[(number * 7 + rng.randrange(3)) % len(_LAST)]
    suffix = str(number // len(_FIRST) + 1) if number >= len(_FIRST) else ""
    return Person(f"{first} {last}", f"{first}{suffix}@example.com".lower())


def _projects(users: int, vms: int, rng: random.Random) -> tuple[PlannedProject, ...]:
    """Each person's projects: more for the first people, who have most of the machines."""
    found = []
    for owner in range(users):
        most = min(len(_PROJECTS), 1 + vms // (4 * (owner + 1)))
        names = rng.sample(_PROJECTS, rng.randint(max(1, most // 2), most))
        found += [PlannedProject(owner, name) for name in names]
    return tuple(found)


def _lives(
    projects: tuple[PlannedProject, ...], vms: int, start: datetime, end: datetime, rng: random.Random
) -> tuple[Life, ...]:
    weights = [1 / (1 + project.owner) for project in projects]
    kept, gone = vms, vms // EXTRA_DELETED
    lives: list[Life] = []
    taken: dict[tuple[int, str], int] = {}
    wave = 0
    while kept + gone:
        project = rng.choices(range(len(projects)), weights)[0]
        role, (size_id,) = rng.choice(_ROLES), rng.choices(list(SIZES), list(SIZES.values()))
        launched = _launch_moment(start, end, rng)
        deleted = rng.random() < gone / (kept + gone)
        count = min(gone if deleted else kept, rng.randint(1, max(1, min(LONGEST_WAVE, vms // 15))))
        for _ in range(count):
            number = taken[project, role] = taken.get((project, role), 0) + 1
            changes = _deletion(launched, end, rng) if deleted else _changes(len(lives), launched, end, rng)
            lives.append(Life(wave, project, f"{role}-{number}", size_id, launched, changes))
        kept, gone, wave = (kept, gone - count, wave + 1) if deleted else (kept - count, gone, wave + 1)
    return tuple(sorted(lives, key=lambda life: (life.launched, life.wave)))


def _launch_moment(start: datetime, end: datetime, rng: random.Random) -> datetime:
    """Growth: more launches lately than long ago, none in the first hour or the last minutes."""
    first = start + timedelta(hours=1)
    age = (end - YOUNGEST - first) * rng.random() ** 2
    return (end - YOUNGEST - age).replace(microsecond=0)


def _changes(number: int, launched: datetime, end: datetime, rng: random.Random) -> tuple[tuple[datetime, Turn], ...]:
    """Most run on; one in eight is off in the end, one in seven was for a while, and a rare one lost its power."""
    if number % 8 == 3:
        return ((_between(launched, end, rng), Turn.STOP),)
    if number % 7 == 4:
        first, second = sorted((_between(launched, end, rng), _between(launched, end, rng)))
        return (first, Turn.STOP), (second + timedelta(minutes=1), Turn.START)
    if number % 200 == 5:
        return ((_between(launched, end, rng), Turn.POWER_LOST),)
    return ()


def _deletion(launched: datetime, end: datetime, rng: random.Random) -> tuple[tuple[datetime, Turn], ...]:
    return ((_between(launched, end, rng), Turn.DELETE),)


def _between(launched: datetime, end: datetime, rng: random.Random) -> datetime:
    """A moment at least five minutes after the launch and five before the end."""
    margin = timedelta(minutes=5)
    span = max(timedelta(0), end - launched - 2 * margin)
    return (launched + margin + span * rng.random()).replace(microsecond=0)


def _log_ins(users: int, start: datetime, end: datetime, rng: random.Random) -> tuple[LogIn, ...]:
    """Sign-ins, a few of them with a wrong password; each costs a password hash, so their number is bounded."""
    count = min(MOST_LOG_INS, users * 3)
    log_ins = []
    for _ in range(count):
        moment = start + (end - start) * (0.1 + 0.89 * rng.random())
        log_ins.append(LogIn(moment.replace(microsecond=0), rng.randrange(users), rng.random() > 0.2))
    return tuple(sorted(log_ins, key=lambda log_in: log_in.at))
