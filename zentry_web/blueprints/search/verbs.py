"""What can be done to a machine or a project, as words. All of it leads to a page or dialog that asks."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from flask import url_for

from zentry_web.domain.language import language, lazy
from zentry_web.domain.projects.project import Project, ProjectAction
from zentry_web.domain.vms.operation import OperationKind
from zentry_web.domain.vms.vm import VM

SHORTEST = 2  # letters that a verb is known by
BETWEEN = frozenset({"a", "in", "into", "of", "on", "the", "to"})


@dataclass(frozen=True, slots=True)
class VMVerb:
    """``text`` has a place for the machine's name; ``may``: whether its state allows it."""

    text: str
    endpoint: str
    icon: str
    right: ProjectAction
    may: Callable[[VM], bool]
    more: str = ""
    ask: bool = True
    action: str = ""  # of vms.act

    def address(self, vm: VM) -> str:
        if self.action:
            return url_for(self.endpoint, vm_id=vm.id, action=self.action)
        return url_for(self.endpoint, vm_id=vm.id)

    def fits(self, vm: VM) -> bool:
        """Whether the one who looks may do it to the machine as it is."""
        return vm.allows(self.right) and self.may(vm)


@dataclass(frozen=True, slots=True)
class ProjectVerb:
    text: str
    icon: str
    right: ProjectAction
    address: Callable[[Project], str]
    more: str = ""
    ask: bool = True
    begins: bool = False  # something, which an archived project refuses

    def fits(self, project: Project) -> bool:
        """Whether the one who looks may do it in the project as it is."""
        return project.allows(self.right) and not (self.begins and project.is_archived)


def _state_allows(kind: OperationKind) -> Callable[[VM], bool]:
    return lambda vm: vm.may(kind)


_OPERATE, _RESUME, _REBOOT = ProjectAction.OPERATE, OperationKind.RESUME, OperationKind.REBOOT
_START, _STOP, _FORCE_OFF = OperationKind.START, OperationKind.STOP, OperationKind.FORCE_OFF
VM_VERBS = (
    VMVerb(lazy("Start %(name)s"), "vms.act", "player-play", _OPERATE, _state_allows(_START), "boot on",
           action="start"),
    VMVerb(lazy("Stop %(name)s"), "vms.act", "player-stop", _OPERATE, _state_allows(_STOP), "shut down off halt",
           action="stop"),
    VMVerb(lazy("Reboot %(name)s"), "vms.act", "rotate", _OPERATE, _state_allows(_REBOOT), "restart", action="reboot"),
    VMVerb(lazy("Suspend %(name)s"), "vms.act", "player-pause", _OPERATE, _state_allows(OperationKind.SUSPEND), "pause",
           action="suspend"),
    VMVerb(lazy("Reset %(name)s"), "vms.reset", "bolt", _OPERATE, _state_allows(OperationKind.RESET), "hard button"),
    VMVerb(lazy("Resume %(name)s"), "vms.act", "player-play", _OPERATE, _state_allows(_RESUME), "wake",
           action="resume"),
    VMVerb(lazy("Change the size of %(name)s"), "vms.resize", "adjustments", ProjectAction.RESIZE,
           _state_allows(OperationKind.RESIZE), "resize grow shrink", ask=False),
    VMVerb(lazy("Take a snapshot of %(name)s"), "vms.take_snapshot", "plus", ProjectAction.RESIZE,
           _state_allows(OperationKind.SNAPSHOT), "keep save"),
    VMVerb(lazy("Back up %(name)s"), "vms.back_up", "archive", ProjectAction.RESIZE,
           _state_allows(OperationKind.BACKUP), "copy save"),
    VMVerb(lazy("Label %(name)s"), "vms.labels", "tags", ProjectAction.LABEL, lambda vm: True, "tags"),
    VMVerb(lazy("Rename %(name)s"), "vms.rename", "edit", ProjectAction.LABEL, lambda vm: True, "host name"),
    VMVerb(lazy("Choose when %(name)s is started again by itself"), "vms.restarts", "rotate", ProjectAction.RESIZE,
           lambda vm: True, "restart crash reboot"),
    VMVerb(lazy("Move %(name)s"), "vms.move", "folders", ProjectAction.LAUNCH, lambda vm: vm.may_move, "project"),
    VMVerb(lazy("Force %(name)s off"), "vms.force_off", "power", _OPERATE, _state_allows(_FORCE_OFF), "power cut kill"),
    VMVerb(lazy("Boot %(name)s into rescue"), "vms.rescue", "lifebuoy", ProjectAction.LAUNCH,
           lambda vm: vm.may(OperationKind.RESCUE) and vm.rescued_at is None, "recover repair password"),
    VMVerb(lazy("Leave the rescue of %(name)s"), "vms.leave_rescue", "lifebuoy", ProjectAction.LAUNCH,
           lambda vm: vm.may(OperationKind.UNRESCUE) and vm.rescued_at is not None, "recover boot"),
    VMVerb(lazy("Set a new password on %(name)s"), "vms.password", "password", ProjectAction.LAUNCH,
           lambda vm: vm.may(OperationKind.PASSWORD) and vm.agent, "root credentials log in"),
    VMVerb(lazy("Rebuild %(name)s"), "vms.rebuild", "hammer", ProjectAction.DELETE_VM,
           _state_allows(OperationKind.REBUILD), "reinstall image disk", ask=False),
    VMVerb(lazy("Delete %(name)s"), "vms.delete", "trash", ProjectAction.DELETE_VM, _state_allows(OperationKind.DELETE),
           "remove destroy"),
)  # fmt: skip
PROJECT_VERBS = (
    ProjectVerb(lazy("Launch in %(name)s"), "rocket", ProjectAction.LAUNCH,
                lambda project: url_for("vms.create", project=project.id), "create new machine vm",
                ask=False, begins=True),
    ProjectVerb(lazy("Invite somebody to %(name)s"), "send", ProjectAction.MEMBERS,
                lambda project: url_for("projects.invite", project_id=project.id), "add member people team"),
    ProjectVerb(lazy("Budget of %(name)s"), "gauge", ProjectAction.BUDGET,
                lambda project: url_for("projects.budget", project_id=project.id), "set limit"),
    ProjectVerb(lazy("Rename %(name)s"), "edit", ProjectAction.RENAME,
                lambda project: url_for("projects.rename", project_id=project.id), "name"),
    ProjectVerb(lazy("Delete %(name)s"), "trash", ProjectAction.OWN,
                lambda project: url_for("projects.delete", project_id=project.id), "remove destroy", ask=False),
)  # fmt: skip


@lru_cache
def _words(_language: str) -> frozenset[str]:
    """All words of the verbs in the language that is spoken."""
    texts = (f"{verb.text % {'name': ''}} {verb.more}" for verb in (*VM_VERBS, *PROJECT_VERBS))
    return frozenset(word for text in texts for word in text.lower().split())


def acted_on(words: Sequence[str]) -> tuple[str, ...] | None:
    """The words that name what is acted on, when the first begins a verb; None when it does not."""
    if not words or len(words[0]) < SHORTEST or not any(word.startswith(words[0]) for word in _words(language())):
        return None
    return tuple(word for word in words[1:] if word not in BETWEEN)
