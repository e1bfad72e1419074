"""Projects: what VMs are organised in."""

import threading

import pytest

from tests.services.people import Statements, acting, delete, events_of, launch, personal_of
from zentry_web.domain.projects.project import MAX_PROJECTS
from zentry_web.domain.user import SYSTEM, Actor, Role
from zentry_web.domain.vms.state import VMState
from zentry_web.services.errors import ConflictError, NotFoundError, ValidationError

pytestmark = pytest.mark.integration


@pytest.fixture
def projects(container):
    return container.get_project_service()


@pytest.fixture
def lab(projects, alice):
    return projects.create_project({"name": "Lab"}, alice, actor=acting(alice))


def test_a_project_is_made_and_recorded(projects, core, alice):
    project = projects.create_project({"name": "  My  lab "}, alice, actor=acting(alice))
    assert (project.name, project.owner_id) == ("My lab", alice.id)
    assert projects.get_project(project.id, actor=acting(alice)) == project
    (event,) = events_of(core, "project.create")
    assert (project.role, project.allows("own")) == ("owner", True)
    assert (event.actor_id, event.owner_id, event.project_id) == (alice.id, alice.id, project.id)
    assert event.details == {}
    assert personal_of(core, event.id)["project"] == "My lab"


@pytest.mark.error
@pytest.mark.parametrize("name", ["", None, "x" * 61, "a\nb", "LAB", "ｌａｂ"])
def test_a_bad_or_taken_name_is_refused_on_its_field(projects, alice, lab, name):
    with pytest.raises(ValidationError) as caught:
        projects.create_project({"name": name}, alice, actor=acting(alice))
    assert set(caught.value.details) == {"name"}


def test_names_are_ones_own(projects, bob, lab):
    assert projects.create_project({"name": "Lab"}, bob, actor=acting(bob)).name == "Lab"


@pytest.mark.error
def test_of_two_projects_with_one_name_at_once_one_is_made(projects, alice):
    outcomes = []

    def make():
        try:
            projects.create_project({"name": "Twin"}, alice, actor=acting(alice))
            outcomes.append("made")
        except (ValidationError, ConflictError):
            outcomes.append("refused")

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(outcomes) == ["made", "refused", "refused", "refused"]


@pytest.mark.error
def test_there_is_an_end_to_how_many(projects, alice):
    for number in range(MAX_PROJECTS):
        projects.create_project({"name": f"p{number}"}, alice, actor=acting(alice))
    with pytest.raises(ConflictError):
        projects.create_project({"name": "one more"}, alice, actor=acting(alice))


def test_renaming_keeps_everything_else(projects, core, alice, lab):
    assert projects.rename_project(lab.id, "LAB", actor=acting(alice)).name == "LAB"
    renamed = projects.rename_project(lab.id, "Workshop", actor=acting(alice))
    assert (renamed.id, renamed.name, renamed.created_at) == (lab.id, "Workshop", lab.created_at)
    projects.rename_project(lab.id, "Workshop", actor=acting(alice))
    second = events_of(core, "project.rename")[-1]
    assert personal_of(core, second.id)["project_before"] == "LAB"


@pytest.mark.error
def test_renaming_to_another_projects_name_is_refused(projects, alice, lab):
    other = projects.create_project({"name": "Other"}, alice, actor=acting(alice))
    with pytest.raises(ValidationError):
        projects.rename_project(other.id, "lab", actor=acting(alice))


@pytest.mark.error
def test_strangers_see_no_project(projects, alice, charlie, admin, lab):
    stranger = acting(charlie)
    for attempt in (
        lambda: projects.get_project(lab.id, actor=stranger),
        lambda: projects.rename_project(lab.id, "Mine", actor=stranger),
        lambda: projects.delete_project(lab.id, actor=stranger),
        lambda: projects.get_project_summary(lab.id, actor=stranger),
        lambda: projects.get_project_statistics(lab.id, actor=stranger),
        lambda: projects.list_projects(alice.id, actor=stranger),
        lambda: projects.create_project({"name": "Gift"}, alice, actor=stranger),
        lambda: projects.get_project("prj_nothing", actor=stranger),
        lambda: projects.get_project(lab.id, actor=Actor("anonymous", Role.USER)),
    ):
        with pytest.raises(NotFoundError):
            attempt()
    assert projects.get_project(lab.id, actor=acting(admin)) == lab


def test_figures_follow_the_vms(container, projects, alice, lab, clock):
    launch(container, alice, lab, "web")
    launch(container, alice, lab, "db")
    launch(container, alice, lab, "spare", run=False)
    launch_and_delete(container, alice, lab)
    clock.advance(minutes=30)
    (summary,) = projects.list_projects(alice.id, actor=acting(alice))
    assert summary == projects.get_project_summary(lab.id, actor=acting(alice))
    assert (summary.vm_count, summary.running_count, summary.rate_micro_per_hour) == (3, 2, 2 * 5_000)
    assert summary.month_micro >= 2 * 2_500
    statistics = projects.get_project_statistics(lab.id, actor=acting(alice))
    assert statistics.vms_by_state == {VMState.RUNNING: 2, VMState.CREATING: 1}
    assert (statistics.vm_count, statistics.vcpus, statistics.memory_mib, statistics.disk_gib) == (3, 3, 384, 3)
    assert (statistics.spend.rate_micro_per_hour, statistics.spend.month_micro) == (10_000, summary.month_micro)


def launch_and_delete(container, alice, lab):
    for claim in iter(lambda: container.get_vm_service().operations.claim("other"), None):
        assert claim.vm_id  # the spare's creation is taken by another worker and stays under way
    delete(container, alice, launch(container, alice, lab, "gone"))


def test_an_empty_project_has_figures_too(projects, alice, lab):
    summary = projects.get_project_summary(lab.id, actor=acting(alice))
    assert (summary.vm_count, summary.rate_micro_per_hour, summary.month_micro) == (0, 0, 0)
    statistics = projects.get_project_statistics(lab.id, actor=acting(alice))
    assert (statistics.vms_by_state, statistics.vcpus) == ({}, 0)


def test_lists_are_sorted_and_cost_the_same_however_long(container, projects, core, alice, lab):
    def statements():
        with Statements(core.database) as counted:
            projects.list_projects(alice.id, actor=acting(alice))
        return counted.count

    before = statements()
    for name in ("zoo", "Attic", "Émile"):
        project = projects.create_project({"name": name}, alice, actor=acting(alice))
        launch(container, alice, project, "web")
    assert statements() == before <= 8
    names = [summary.project.name for summary in projects.list_projects(alice.id, actor=acting(alice))]
    assert names[:3] == ["Attic", "Lab", "zoo"]


def test_deleting_frees_the_name(container, projects, core, alice, lab):
    projects.delete_project(lab.id, actor=acting(alice))
    with pytest.raises(NotFoundError):
        projects.get_project(lab.id, actor=acting(alice))
    with pytest.raises(NotFoundError):
        projects.delete_project(lab.id, actor=acting(alice))
    assert projects.list_projects(alice.id, actor=acting(alice)) == []
    assert len(events_of(core, "project.delete")) == 1
    assert projects.create_project({"name": "Lab"}, alice, actor=acting(alice)).id != lab.id


@pytest.mark.error
def test_nothing_is_launched_into_a_deleted_project(container, projects, alice, lab):
    projects.delete_project(lab.id, actor=acting(alice))
    with pytest.raises(NotFoundError):
        launch(container, alice, lab, "web")


@pytest.mark.error
def test_a_launch_and_a_deletion_at_once_leave_no_vm_in_a_deleted_project(container, projects, alice):
    for number in range(5):
        project = projects.create_project({"name": f"p{number}"}, alice, actor=acting(alice))
        outcomes = {}

        def attempt(what, work, outcomes=outcomes):
            try:
                work()
                outcomes[what] = True
            except (NotFoundError, ConflictError):
                outcomes[what] = False

        jobs = {
            "launch": lambda project=project: launch(container, alice, project, "web", run=False),
            "delete": lambda project=project: projects.delete_project(project.id, actor=acting(alice)),
        }
        threads = [threading.Thread(target=attempt, args=job) for job in jobs.items()]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert outcomes["delete"]
        assert container.get_vm_service().list_vms(actor=SYSTEM).vms == []
