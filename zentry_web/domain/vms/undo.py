"""What can be undone, for how long, and by whom. A new kind of change gets a line here and a way back in
services/vms/undoing.py."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from zentry_web.domain.language import lazy
from zentry_web.domain.projects.project import ProjectAction

LASTS = timedelta(minutes=10)
LASTS_WITH_DISK = timedelta(hours=1)  # what keeps the disk that was aside


@dataclass(frozen=True, slots=True)
class Undoable:
    """``right``: what it takes; ``says``: what comes of it, before it is done; {name} is the machine's."""

    right: ProjectAction
    says: str
    lasts: timedelta = LASTS


UNDOABLE: dict[str, Undoable] = {
    "vm.stop": Undoable(ProjectAction.OPERATE, lazy("{name} is started again.")),
    "vm.force_off": Undoable(
        ProjectAction.OPERATE, lazy("{name} is started again. What it had not written to its disk stays lost.")
    ),
    "vm.suspend": Undoable(ProjectAction.OPERATE, lazy("{name} goes on where it stood still.")),
    "vm.bin": Undoable(
        ProjectAction.DELETE_VM, lazy("{name} comes back from the recycle bin, and runs again if it ran.")
    ),
    "vm.rebuild": Undoable(
        ProjectAction.DELETE_VM,
        lazy("{name} gets the disk back that it had. What was written since is lost."),
        LASTS_WITH_DISK,
    ),
    "vm.recover": Undoable(
        ProjectAction.DELETE_VM,
        lazy("{name} gets the disk back that it had. What was written since is lost."),
        LASTS_WITH_DISK,
    ),
    "vm.revert": Undoable(
        ProjectAction.RESIZE,
        lazy("{name} becomes what it was before the revert. What was written since is lost."),
        LASTS_WITH_DISK,
    ),
    "vm.rename": Undoable(ProjectAction.LABEL, lazy("{name} gets the name back that it had.")),
    "vm.move": Undoable(ProjectAction.DELETE_VM, lazy("{name} goes back into the project it came from.")),
    "vm.labels": Undoable(ProjectAction.LABEL, lazy("{name} has the labels again that it had.")),
    "vm.protect": Undoable(ProjectAction.DELETE_VM, lazy("{name} can be deleted again.")),
    "vm.unprotect": Undoable(ProjectAction.DELETE_VM, lazy("{name} is protected from deletion again.")),
}


@dataclass(frozen=True, slots=True)
class Undo:
    """One change of one machine that can be undone, or could be."""

    id: str
    action: str
    vm_id: str
    vm_name: str
    made_at: datetime
    until: datetime
    used_at: datetime | None
    used_by: str  # a name
    is_waiting: bool  # for what is under way: then it is undone
    problem: str = ""  # why it came to nothing after all

    @property
    def says(self) -> str:
        """What comes of it."""
        return str(UNDOABLE[self.action].says).replace("{name}", self.vm_name)
