"""Labels of machines and projects: who may set them, what is written down, what lists find by them."""

import pytest

from tests.services.people import acting, events_of, join, personal_of
from zentry_web.domain.label import Label
from zentry_web.domain.vms.fleet import VMFilter
from zentry_web.services.errors import NotFoundError, PermissionDeniedError, ValidationError

pytestmark = pytest.mark.integration


@pytest.fixture
def vm(cloud, alice, project):
    return cloud.launch(alice, project, "web")


def found(cloud, user, label):
    return [vm.name for vm in cloud.vms.list_vms(user.id, actor=acting(user), wanted=VMFilter(label=label)).vms]


def test_labels_are_replaced_as_a_whole_and_audited_once(cloud, core, alice, vm):
    for text in ("env=prod, web", " web\nenv = prod", "env=test"):  # the second one changes nothing
        cloud.vms.labels.set(vm.id, text, actor=acting(alice))
    assert cloud.vms.labels.get(vm.id, actor=acting(alice)) == (Label("env", "test"),)
    assert cloud.vms.get_vm_page(vm.id, actor=acting(alice)).vm.label_map == {"env": "test"}
    first, second = events_of(core, "vm.labels")
    assert (first.details, second.details) == ({"count": 2}, {"count": 1})
    personal = personal_of(core, second.id)
    assert (personal["labels"], personal["labels_before"]) == ("env=test", "env=prod, web")
    cloud.vms.labels.set(vm.id, "", actor=acting(alice))
    assert cloud.vms.labels.get(vm.id) == ()


@pytest.mark.error
def test_who_may_not_and_what_cannot_be_changes_nothing(cloud, core, container, alice, bob, charlie, project, vm):
    cloud.vms.labels.set(vm.id, "web", actor=acting(alice))
    join(container, project, bob, "restricted")
    with pytest.raises(PermissionDeniedError):
        cloud.vms.labels.set(vm.id, "db", actor=acting(bob))
    with pytest.raises(NotFoundError):
        cloud.vms.labels.set(vm.id, "db", actor=acting(charlie))
    with pytest.raises(ValidationError) as refused:
        cloud.vms.labels.set(vm.id, "a b", actor=acting(alice))
    assert set(refused.value.details) == {"labels"}
    assert cloud.vms.labels.get(vm.id) == (Label("web"),)
    assert len(events_of(core, "vm.labels")) == 1
    with pytest.raises(NotFoundError):
        cloud.vms.labels.list_in_use(alice.id, actor=acting(charlie))


def test_lists_find_by_label(cloud, alice, charlie, project, vm):
    other = cloud.launch(alice, project, "db")
    theirs = cloud.launch(charlie, cloud.project(charlie, "theirs"), "spy")
    for machine, user, text in ((vm, alice, "env=prod,web"), (other, alice, "env=test"), (theirs, charlie, "env=prod")):
        cloud.vms.labels.set(machine.id, text, actor=acting(user))
    for label, names in (
        ("env", ["db", "web"]), ("env=prod", ["web"]), ("ｅｎｖ＝test ", ["db"]), ("web", ["web"]), ("web=", ["web"]),
        ("=prod", ["db", "web"]),
        ("env=", []), ("prod", []), ("%", []), ("e\x00nv", ["db", "web"]), (" ", ["db", "web"]),
    ):  # fmt: skip
        assert found(cloud, alice, label) == names, label
    listed = cloud.vms.list_vms(alice.id, actor=acting(alice)).vms
    assert [[label.text for label in each.labels] for each in listed] == [["env=test"], ["env=prod", "web"]]
    in_use = cloud.vms.labels.list_in_use(alice.id, actor=acting(alice))
    assert [label.text for label in in_use] == ["env=prod", "env=test", "web"]
    everybody = cloud.vms.list_vms(wanted=VMFilter(label="env=prod"))
    assert [(each.name, each.label_map["env"]) for each in everybody.vms] == [("spy", "prod"), ("web", "prod")]
    assert bool(VMFilter(label="env"))


def test_a_project_has_labels_among_its_settings(cloud, core, alice, bob, container, project):
    data = {"name": project.name, "description": "", "colour": "", "labels": "team=web, eu"}
    assert [each.text for each in cloud.projects.settings.update(project.id, data).labels] == ["eu", "team=web"]
    join(container, project, bob, "member")
    with pytest.raises(PermissionDeniedError):
        cloud.projects.settings.update(project.id, data | {"labels": ""}, actor=acting(bob))
    with pytest.raises(ValidationError) as refused:
        cloud.projects.settings.update(project.id, data | {"labels": "=x"}, actor=acting(alice))
    assert set(refused.value.details) == {"labels"}
    shown = cloud.projects.get_project(project.id, actor=acting(bob))
    (listed,) = cloud.projects.list_projects(alice.id, actor=acting(alice))
    assert shown.labels == listed.project.labels == (Label("eu"), Label("team", "web"))
    (update,) = events_of(core, "project.update")
    assert update.details == {"changed": ["labels"]}
    assert personal_of(core, update.id)["labels"] == "eu, team=web"


def test_labels_stay_with_a_machine_through_the_bin_and_a_move(cloud, alice, project, vm):
    cloud.keep_deleted(7)
    cloud.vms.labels.set(vm.id, "keep=me", actor=acting(alice))
    shop = cloud.project(alice, "Shop")
    cloud.vms.moving.move(vm.id, shop.id, actor=acting(alice))
    cloud.vms.delete_vm(vm.id, "web", actor=acting(alice))
    cloud.worker.work()
    assert found(cloud, alice, "keep") == []
    cloud.vms.bin.restore(vm.id, "web", actor=acting(alice))
    assert found(cloud, alice, "keep=me") == ["web"]
