"""Machines that only the hypervisor has: listed to admins, taken over or removed."""

import json
from dataclasses import replace

import pytest
from sqlalchemy import event, func, select

from tests.conftest import make_config
from tests.services.people import acting, events_of
from tests.services.test_backup import elsewhere
from tests.services.vm_world import STOPPED, Cloud
from zentry_web.adapters.compute.base import ComputeRefused, MachineSpec, PowerState
from zentry_web.adapters.compute.libvirt.disks.storage import NOTES_MOST, MachineStorage
from zentry_web.backup import backup, restore
from zentry_web.composition import build_container
from zentry_web.domain.vms.state import VMState
from zentry_web.models import DbEvent, DbVM
from zentry_web.services.errors import (
    ConflictError,
    InsufficientCreditsError,
    NotFoundError,
    PermissionDeniedError,
    ProofRequiredError,
    QuotaExceededError,
    ValidationError,
)

__all__ = ["elsewhere"]  # a fixture

pytestmark = pytest.mark.integration
LOST = MachineSpec("vm_lost", "lost", 1, 512, 10, "tiny")


@pytest.fixture
def lost(cloud, project):
    """A machine of the smallest size that only the hypervisor has, seen by the worker."""
    (size,) = [each for each in cloud.vms.list_sizes() if each.id == "size_nano"]
    spec = replace(LOST, vcpus=size.vcpus, memory_mib=size.memory_mib, disk_gib=size.disk_gib)
    cloud.driver.create(spec)
    cloud.round()
    return spec


@pytest.fixture
def boss(cloud, admin):
    return acting(admin)


def ids(cloud):
    return [each.vm_id for each in cloud.vms.strays.list_strays()]


def test_it_is_listed_as_it_was_made_until_it_is_gone(cloud, core, lost):
    (found,) = cloud.vms.strays.list_strays()
    assert (found.vm_id, found.name, found.image, found.power) == ("vm_lost", "lost", "tiny", "off")
    assert (found.vcpus, found.memory_mib, found.disk_gib) == (lost.vcpus, lost.memory_mib, lost.disk_gib)
    assert [each.resource_id for each in events_of(core, "vm.stray_seen")] == ["vm_lost"]
    cloud.driver.start("vm_lost")
    cloud.round()
    assert cloud.vms.strays.get("vm_lost").power == "running"
    cloud.control.destroy("vm_lost")
    cloud.round()
    assert (ids(cloud), cloud.vms.strays.count()) == ([], 0)
    assert events_of(core, "vm.stray_removed") == [], "nobody asked for it"


def test_nothing_is_written_while_nothing_changes(cloud, lost):
    written = []

    def listen(connection, cursor, statement, parameters, context, executemany):
        if "stray_machine" in statement and not statement.startswith("SELECT"):
            written.append(statement)

    engine = cloud.container.database.engine
    event.listen(engine, "before_cursor_execute", listen)
    cloud.driver.create(replace(lost, vm_id="vm_lost2"))
    cloud.round()
    assert len(written) == 1, "it does see what is written"
    cloud.round(3)
    assert len(written) == 1
    event.remove(engine, "before_cursor_execute", listen)


def test_one_without_a_note_that_can_be_read_is_listed_and_holds_up_no_other(cloud, boss, project, monkeypatch):
    monkeypatch.setattr(cloud.driver, "note", lambda vm_id: None if vm_id == "vm_a" else LOST)
    cloud.driver.create(replace(LOST, vm_id="vm_a"))
    cloud.driver.create(replace(LOST, vm_id="vm_b"))
    cloud.round()
    assert [(each.vm_id, each.vcpus) for each in cloud.vms.strays.list_strays()] == [("vm_b", 1), ("vm_a", None)]
    with pytest.raises(ConflictError, match="cannot be read"):
        cloud.vms.strays.adopt("vm_a", project.id, "web", "size_nano", actor=boss)


def test_removal_is_the_worker_s_and_is_tried_until_it_works(cloud, core, boss, lost, monkeypatch):
    with pytest.raises(PermissionDeniedError):
        cloud.vms.strays.ask_removal("vm_lost", actor=replace(boss, role="user"))
    with pytest.raises(ProofRequiredError):
        cloud.vms.strays.ask_removal("vm_lost", actor=replace(boss, proved_at=None))
    cloud.round()
    assert cloud.driver.machine("vm_lost") is not None
    cloud.vms.strays.ask_removal("vm_lost", actor=boss)
    cloud.vms.strays.ask_removal("vm_lost", actor=boss)

    def refuse(vm_id):
        raise ComputeRefused("The disk is in use.")

    with monkeypatch.context() as patch:
        patch.setattr(cloud.driver, "delete", refuse)
        cloud.round(2)
    assert cloud.vms.strays.get("vm_lost").error == "The disk is in use."
    cloud.round()
    cloud.round()
    assert (cloud.driver.machines(), ids(cloud)) == ([], [])
    assert [each.actor_id for each in events_of(core, "vm.stray_remove")] == [boss.id]
    assert len(events_of(core, "vm.stray_removed")) == 1
    cloud.assert_sound()


def test_an_adopted_one_is_a_vm_like_any_other(cloud, core, alice, boss, project, lost):
    cloud.driver.start("vm_lost")
    vm = cloud.vms.strays.adopt("vm_lost", project.id, "Lost", "size_nano", actor=boss)
    assert (vm.id, vm.name, vm.state, vm.owner_id) == ("vm_lost", "lost", VMState.STOPPED, alice.id)
    assert [row.state for row in cloud.intervals(vm)] == [STOPPED]
    (told,) = events_of(core, "vm.adopt")
    assert (told.actor_id, told.owner_id, told.vm_id) == (boss.id, alice.id, "vm_lost")
    cloud.round(3)
    assert (cloud.vm(vm).state, ids(cloud)) == (VMState.RUNNING, [])
    assert cloud.hold(vm) is not None, "what runs is paid for"
    cloud.vms.delete_vm(vm.id, vm.name, actor=acting(alice))
    cloud.worker.work()
    assert cloud.driver.machines() == []
    cloud.assert_sound()


@pytest.mark.error
def test_what_cannot_be_adopted_and_nothing_is_left_of_the_attempt(cloud, alice, boss, project, lost):
    def refused(error, *, into=project.id, name="web", size="size_nano", match=None, actor=boss):
        with pytest.raises(error, match=match):
            cloud.vms.strays.adopt("vm_lost", into, name, size, actor=actor)
        with cloud.container.database.reading() as session:
            assert session.get(DbVM, "vm_lost") is None
            assert session.scalar(select(func.count()).where(DbEvent.action == "vm.adopt")) == 0
        assert ids(cloud) == ["vm_lost"]

    cloud.launch(alice, project, "taken")
    refused(PermissionDeniedError, actor=acting(alice))
    refused(ProofRequiredError, actor=replace(boss, proved_at=None))
    refused(ValidationError, name="taken", match="another machine named")
    refused(ValidationError, name="no good")
    refused(ValidationError, size="size_small", match="exactly its vCPUs")
    refused(ValidationError, into="prj_none", match="no project")
    cloud.vms.quotas.set_limits(project.id, {"vms": "1"}, actor=boss)
    refused(QuotaExceededError)
    cloud.vms.quotas.set_limits(project.id, {"vms": ""}, actor=boss)
    cloud.set_wallet(alice, 0)
    refused(InsufficientCreditsError)
    cloud.vms.strays.ask_removal("vm_lost", actor=boss)
    refused(ConflictError, match="being removed")
    with pytest.raises(NotFoundError):
        cloud.vms.strays.adopt("vm_none", project.id, "web", "size_nano", actor=boss)
    cloud.assert_sound()


def test_after_an_older_backup_was_put_back(config, cloud, alice, admin, project, elsewhere, tmp_path):
    """What was launched since is listed; one is adopted, another removed, and the books agree."""
    kept = cloud.launch(alice, project, "kept")
    made = backup(config, tmp_path / "backups", cloud.clock.now())
    later, last = cloud.launch(alice, project, "later"), cloud.launch(alice, project, "last")
    restore(elsewhere, made)
    restored = build_container(elsewhere, clock=cloud.clock)
    there = Cloud(restored, cloud.driver, cloud.clock, replace_data(config, elsewhere))
    try:
        there.worker.reconciler.run()
        assert set(ids(there)) == {later.id, last.id}
        boss = acting(admin)
        there.vms.strays.adopt(later.id, project.id, "later", "size_nano", actor=boss)
        there.vms.strays.ask_removal(last.id, actor=boss)
        there.round(3)
        there.round()
        assert {each.vm_id for each in cloud.driver.machines()} == {kept.id, later.id}
        assert (ids(there), there.row(later).state) == ([], VMState.RUNNING)
        assert [check for check in restored.get_billing_service().verify() if not check.ok] == []
    finally:
        there.close()
        restored.close()


def replace_data(config, elsewhere):
    """The settings of the new place with the simulator of the old: the hypervisor is the same."""
    return make_config(config.data, database_url=elsewhere.database_url)


@pytest.mark.error
@pytest.mark.parametrize(
    "text",
    [
        "",
        "not json",
        "[" * 60_000,
        "[]",
        json.dumps({"name": "x", "image": "tiny", "vcpus": True, "memory_mib": 1, "disk_gib": 1}),
        json.dumps({"name": "x", "image": "tiny", "vcpus": 2**31, "memory_mib": 1, "disk_gib": 1}),
        json.dumps({"name": "a\x00b", "image": "tiny", "vcpus": 1, "memory_mib": 1, "disk_gib": 1}),
        json.dumps({"name": "x" * 64, "image": "tiny", "vcpus": 1, "memory_mib": 1, "disk_gib": 1}),
        json.dumps({"image": "tiny", "vcpus": 1, "memory_mib": 1, "disk_gib": 1}),
        json.dumps({"name": "x", "image": "tiny", "vcpus": 1, "memory_mib": 1, "disk_gib": 1, "z": "z" * NOTES_MOST}),
    ],
)
def test_a_note_of_nonsense_is_none(tmp_path, text):
    storage = MachineStorage(tmp_path)
    storage.folder("vm_1").mkdir()
    (storage.folder("vm_1") / "machine.json").write_text(text)
    assert storage.spec("vm_1") is None
    assert storage.spec("../vm_1") is None


def test_a_note_is_read(tmp_path):
    storage = MachineStorage(tmp_path)
    storage.folder("vm_1").mkdir()
    note = {"name": "web", "image": "tiny", "vcpus": 1, "memory_mib": 512, "disk_gib": 10, "ssh_keys": 2}
    (storage.folder("vm_1") / "machine.json").write_text(json.dumps(note))
    assert storage.spec("vm_1") == MachineSpec("vm_1", "web", 1, 512, 10, "tiny")


def test_a_power_is_short():
    assert max(len(each) for each in PowerState) <= 10, "the column"
