"""What the palette shows, in groups: the group with the best result first."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from flask import url_for

from zentry_web.blueprints.search.entries import ACTIONS, PAGES, SETTINGS, entries_for
from zentry_web.blueprints.search.verbs import BETWEEN, PROJECT_VERBS, VM_VERBS
from zentry_web.domain.language import _, lazy
from zentry_web.domain.projects.project import Project
from zentry_web.domain.search import Found, fit
from zentry_web.domain.vms.vm import VM
from zentry_web.web.output.filters import words as words_for

MACHINES, PROJECTS, PEOPLE = lazy("Machines"), lazy("Projects"), lazy("People")
STATEMENTS, RECENT, PLACES = lazy("Statements"), lazy("Recent"), lazy("Go to")
_MOST = {PAGES: 6, SETTINGS: 5, ACTIONS: 8}
_UNSURE = 10**6  # fits, though not by what is shown of it
_FEW_PAGES = ("Overview", "Machines", "Credits", "Launch a machine", "Top up")


@dataclass(frozen=True, slots=True)
class Result:
    """``ask``: it opens in the dialog. ``distance``: 0 is what was typed."""

    text: str
    href: str
    icon: str
    note: str = ""
    ask: bool = False
    distance: int = _UNSURE


@dataclass(frozen=True, slots=True)
class Group:
    title: str
    results: tuple[Result, ...]


def groups_of(words: Sequence[str], found: Found, *, is_admin: bool) -> list[Group]:
    """Everything that fits, by kind; of each kind the best first."""
    by_title: dict[str, list[Result]] = {
        MACHINES: [_vm(vm, words, is_admin) for vm in found.vms],
        PROJECTS: [_project(project, words) for project in found.projects],
        PEOPLE: [
            Result(user.name, url_for("admin.user", user_id=user.id), "user", user.email,
                   distance=_near(words, f"{user.name} {user.email}"))
            for user in found.people
        ],
        STATEMENTS: [
            Result(each.name, url_for("billing.statement", statement_id=each.id), "file-text",
                   distance=_near(words, each.name))
            for each in found.statements
        ],
        PAGES: [], SETTINGS: [], ACTIONS: [*_actions(words, found)],
    }  # fmt: skip
    for entry, href in entries_for(is_admin=is_admin):
        distance = fit(words, str(entry.text), entry.more)
        if distance is not None:
            by_title[entry.group].append(Result(entry.text, href, entry.icon, ask=entry.ask, distance=distance))
    groups = []
    for title, results in by_title.items():
        if title in _MOST:
            results.sort(key=lambda each: each.distance)
        if results:
            groups.append(Group(title, tuple(results[: _MOST.get(title)])))
    return sorted(groups, key=lambda group: min(each.distance for each in group.results))


def recent_groups(found: Found) -> list[Group]:
    """With nothing typed: what one worked with lately, and what most want."""
    things = [*(_vm(vm, (), False) for vm in found.vms), *(_project(each, ()) for each in found.projects)]
    wanted = {entry.text: Result(entry.text, href, entry.icon) for entry, href in entries_for(is_admin=False)}
    groups = [Group(RECENT, tuple(things)), Group(PLACES, tuple(wanted[text] for text in _FEW_PAGES))]
    return [group for group in groups if group.results]


def _actions(words: Sequence[str], found: Found) -> Iterable[Result]:
    """What can be done to what fits the words after a verb; and to the machine and the project that fit all of them."""
    vms = {vm.id: vm for vm in (*found.vms_for_action, *found.vms[:1])}
    projects = {project.id: project for project in (*found.projects_for_action, *found.projects[:1])}
    meant = [words, [*words[:1], *(word for word in words[1:] if word not in BETWEEN)]]
    for vm in vms.values():
        for verb in VM_VERBS:
            text = verb.text % {"name": vm.name}
            if (near := _nearest(meant, text, f"{verb.more} {vm.project_name}")) is not None and verb.fits(vm):
                yield Result(text, verb.address(vm), verb.icon, vm.project_name, verb.ask, near)
    for project in projects.values():
        for each in PROJECT_VERBS:
            text = each.text % {"name": project.name}
            if (near := _nearest(meant, text, each.more)) is not None and each.fits(project):
                yield Result(text, each.address(project), each.icon, "", each.ask, near)


def _nearest(meant: Sequence[Sequence[str]], text: str, more: str) -> int | None:
    found = [near for words in meant if (near := fit(words, text, more)) is not None]
    return min(found, default=None)


def _near(words: Sequence[str], text: str, more: str = "") -> int:
    found = fit(words, text, more)
    return found if found is not None else _UNSURE


def _vm(vm: VM, words: Sequence[str], is_admin: bool) -> Result:
    state, whose = words_for(vm.state).lower(), f"{vm.project_name} · {vm.owner_email}" if is_admin else vm.project_name
    distance = _near(words, vm.name, f"{vm.project_name} {vm.address} {vm.id}")
    return Result(vm.name, url_for("vms.show", vm_id=vm.id), "server", f"{state} · {whose}", distance=distance)


def _project(project: Project, words: Sequence[str]) -> Result:
    href = url_for("projects.show", project_id=project.id)
    note = _("archived") if project.is_archived else ""
    return Result(project.name, href, "folders", note, distance=_near(words, project.name))
