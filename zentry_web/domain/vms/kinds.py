"""What a person can know of each kind of operation, and do about one: its steps, until when it can be aborted, what is
asked when it is tried again. A new kind gets a line in ``KINDS``, a new step one in ``STEP_WORDS``."""

from dataclasses import dataclass

from zentry_web.domain.language import lazy
from zentry_web.domain.projects.project import ProjectAction
from zentry_web.domain.vms.operation import OperationKind


@dataclass(frozen=True, slots=True)
class KindRules:
    """``steps``: as the worker records them, the first one ``queued``. ``abort_at``: the steps during which an abort
    still leaves everything as it was, or as if it had failed; the worker reaches no later one after somebody asked.
    ``again``: what is asked for once more after a failure; None: nothing. ``right``: what it takes to do either."""

    steps: tuple[str, ...]
    abort_at: frozenset[str] = frozenset({"queued"})
    again: OperationKind | None = None
    right: ProjectAction = ProjectAction.OPERATE


_UP = ("queued", "disk", "boot", "running", "answered")
_BEFORE_IT_RUNS = frozenset({"queued", "disk", "boot"})

KINDS: dict[OperationKind, KindRules] = {
    OperationKind.CREATE: KindRules(_UP, _BEFORE_IT_RUNS, OperationKind.START, ProjectAction.LAUNCH),
    OperationKind.START: KindRules(_UP, _BEFORE_IT_RUNS, OperationKind.START),
    OperationKind.STOP: KindRules(("queued", "off"), again=OperationKind.STOP),
    OperationKind.FORCE_OFF: KindRules(("queued", "off"), again=OperationKind.FORCE_OFF),
    OperationKind.REBOOT: KindRules(("queued", "reboot"), again=OperationKind.REBOOT),
    OperationKind.RESET: KindRules(("queued", "reset"), again=OperationKind.RESET),
    OperationKind.SUSPEND: KindRules(("queued", "suspend"), again=OperationKind.SUSPEND),
    OperationKind.RESUME: KindRules(("queued", "resume"), again=OperationKind.RESUME),
    OperationKind.RESIZE: KindRules(
        ("queued", "off", "resize", "boot", "running", "answered"),
        frozenset({"queued", "resize"}),
        OperationKind.RESIZE,
        ProjectAction.RESIZE,
    ),
    OperationKind.SNAPSHOT: KindRules(("queued", "snapshot")),
    OperationKind.REVERT: KindRules(("queued", "revert")),
    OperationKind.UNREVERT: KindRules(("queued", "unrevert")),
    OperationKind.DISCARD: KindRules(("queued", "discard")),
    OperationKind.BACKUP: KindRules(("queued", "backup"), frozenset({"queued", "backup"}), right=ProjectAction.RESIZE),
    OperationKind.RECOVER: KindRules(
        ("queued", "off", "recover", "boot", "running", "answered"),
        frozenset({"queued", "recover"}),
        right=ProjectAction.DELETE_VM,
    ),
    OperationKind.IMAGE: KindRules(
        ("queued", "copy", "place"), frozenset({"queued", "copy"}), right=ProjectAction.RESIZE
    ),
    OperationKind.REBUILD: KindRules(
        ("queued", "off", "rebuild", "boot", "running", "answered"), right=ProjectAction.DELETE_VM
    ),
    OperationKind.BRING_BACK: KindRules(
        ("queued", "off", "bring_back", "boot", "running", "answered"), right=ProjectAction.DELETE_VM
    ),
    OperationKind.RESCUE: KindRules(
        ("queued", "off", "rescue", "boot", "running", "answered"), right=ProjectAction.LAUNCH
    ),
    OperationKind.UNRESCUE: KindRules(
        ("queued", "off", "unrescue", "boot", "running", "answered"), right=ProjectAction.LAUNCH
    ),
    # Nothing to try again: what was shown once is nobody's to know any more.
    OperationKind.PASSWORD: KindRules(("queued", "password"), right=ProjectAction.LAUNCH),
    # Off the bill since the click: these go on until they are done.
    OperationKind.BIN: KindRules(("queued", "off"), frozenset(), right=ProjectAction.DELETE_VM),
    OperationKind.DELETE: KindRules(("queued", "delete"), frozenset(), right=ProjectAction.DELETE_VM),
}

# A step: its name, and what happens while it lasts.
STEP_WORDS: dict[str, tuple[str, str]] = {
    "queued": (lazy("Queued"), lazy("Waiting for a worker")),
    "disk": (lazy("Disk"), lazy("Copying the image to a disk of its own")),
    "boot": (lazy("Boot"), lazy("Handing the machine to the hypervisor")),
    "running": (lazy("Running"), lazy("The hypervisor reports it running; billing starts")),
    "off": (lazy("Off"), lazy("The machine powers off")),
    "resize": (lazy("Resize"), lazy("Processors, memory and disk change")),
    "snapshot": (lazy("Snapshot"), lazy("Disk and memory are kept; the machine stands still meanwhile")),
    "revert": (lazy("Revert"), lazy("The machine becomes what it was")),
    "unrevert": (lazy("Undo the revert"), lazy("The machine becomes what it was before the revert")),
    "discard": (lazy("Discard"), lazy("The snapshot is deleted; the machine stays as it is")),
    "backup": (lazy("Backup"), lazy("Its disk is copied to another place; the machine goes on")),
    "recover": (lazy("Restore"), lazy("The disk of the backup takes the place of the one that was")),
    "copy": (lazy("Copy"), lazy("The whole disk is copied")),
    "place": (lazy("Image"), lazy("The copy becomes an image")),
    "rescue": (lazy("Rescue"), lazy("The rescue system is what boots next")),
    "unrescue": (lazy("Leave rescue"), lazy("The machine’s own system is what boots next")),
    "password": (lazy("Password"), lazy("The guest’s agent sets it")),
    "rebuild": (lazy("Rebuild"), lazy("A fresh disk takes the place of the one that was")),
    "bring_back": (lazy("Bring back"), lazy("The disk that was takes its place again")),
    "answered": (lazy("Answered"), lazy("The guest took an address or said it is ready")),
    "reboot": (lazy("Reboot"), lazy("The guest is asked to restart")),
    "reset": (lazy("Reset"), lazy("It boots anew at once")),
    "suspend": (lazy("Suspend"), lazy("It stands still with its memory")),
    "resume": (lazy("Resume"), lazy("It goes on where it stood still")),
    "delete": (lazy("Delete"), lazy("Machine and disk are removed")),
}

# What each is called with the name of its machine; {sizes}: which, where known.
TITLES: dict[OperationKind, str] = {
    OperationKind.CREATE: lazy("Launch of {name}"),
    OperationKind.START: lazy("Start of {name}"),
    OperationKind.STOP: lazy("Stop of {name}"),
    OperationKind.FORCE_OFF: lazy("Force off of {name}"),
    OperationKind.REBOOT: lazy("Reboot of {name}"),
    OperationKind.RESET: lazy("Reset of {name}"),
    OperationKind.SUSPEND: lazy("Suspension of {name}"),
    OperationKind.RESUME: lazy("Resume of {name}"),
    OperationKind.RESIZE: lazy("Resize of {name}{sizes}"),
    OperationKind.SNAPSHOT: lazy("Snapshot of {name}"),
    OperationKind.REVERT: lazy("Return of {name} to a snapshot"),
    OperationKind.UNREVERT: lazy("Undoing of the revert of {name}"),
    OperationKind.DISCARD: lazy("Deletion of a snapshot of {name}"),
    OperationKind.BACKUP: lazy("Backup of {name}"),
    OperationKind.RECOVER: lazy("Return of {name} to a backup"),
    OperationKind.IMAGE: lazy("Making of an image of {name}"),
    OperationKind.RESCUE: lazy("Rescue of {name}"),
    OperationKind.UNRESCUE: lazy("End of the rescue of {name}"),
    OperationKind.PASSWORD: lazy("New password of {name}"),
    OperationKind.REBUILD: lazy("Rebuild of {name}"),
    OperationKind.BRING_BACK: lazy("Return of the disk that {name} had before"),
    OperationKind.BIN: lazy("Delete of {name}"),
    OperationKind.DELETE: lazy("Delete of {name}"),
}


def title_of(kind: OperationKind, name: str) -> str:
    """An operation on the machine of that name, as the head of a page or in a sentence."""
    return str(TITLES[kind]).replace("{sizes}", "").replace("{name}", name)
