"""Machines launched from a backup, on the simulator: while its machine lives, lies in the bin, or is gone from the
host. That the whole is there or nothing, wherever it is killed, test_machines_of_snapshots.py shows of the same way."""

import pytest

from tests.services.people import acting, join
from zentry_web.domain.vms.launch_source import SourceKind
from zentry_web.domain.vms.state import VMState
from zentry_web.services.errors import ConflictError, NotFoundError, PermissionDeniedError, ValidationError
from zentry_web.worker.backups import BackupKeeper
from zentry_web.worker.copies import CopyKeeper

pytestmark = pytest.mark.integration


@pytest.fixture
def order(cloud, alice, project, backup):
    def ask(name="copy", size="size_nano", **more):
        data = {"project_id": project.id, "name": name, "size_id": size, "image_id": "img_tiny"}
        return cloud.vms.create_vms(data | {"backup_id": backup.id} | more, alice, actor=acting(alice))

    return ask


def keep(cloud):
    BackupKeeper(cloud.vms, cloud.driver, lambda name: None).run()


def come_up(cloud, *vms):
    cloud.worker.work()
    cloud.round(3)
    assert {cloud.vm(vm).state for vm in vms} == {VMState.RUNNING}
    assert cloud.driver.copies.stored() == ()


def delete(cloud, alice, vm):
    cloud.vms.delete_vm(vm.id, vm.name, actor=acting(alice))
    cloud.worker.work()


def test_they_come_up_as_any_other_and_the_machine_itself_goes_on(cloud, vm, order):
    run = cloud.row(vm).run_id
    sources = []
    begin = cloud.driver.copies.begin
    cloud.driver.copies.begin = lambda key, source, **more: (sources.append(source), begin(key, source, **more))
    copies = order(count="2")
    come_up(cloud, *copies)
    del cloud.driver.copies.begin
    assert {bool(source.backup) and not source.snapshot for source in sources} == {True}
    assert {cloud.vm(copy).image_name for copy in copies} == {cloud.vm(vm).image_name}
    assert cloud.row(vm).run_id == run
    cloud.live(60)
    cloud.assert_sound()


def test_one_whose_machine_lies_in_the_bin(cloud, alice, vm, order, backup):
    cloud.keep_deleted(7)
    delete(cloud, alice, vm)
    (binned,) = cloud.vms.bin.list_binned(alice.id, actor=acting(alice))
    assert binned.backup_id == backup.id
    (copy,) = order()
    come_up(cloud, copy)
    cloud.assert_sound()


def test_one_whose_machine_the_host_has_lost(cloud, vm, order):
    cloud.driver.delete(vm.id)
    cloud.live(60)
    (copy,) = order()
    come_up(cloud, copy)
    cloud.assert_sound()


def test_one_whose_project_lies_in_the_bin_waits_for_it(cloud, alice, project, backup):
    cloud.keep_deleted(7)
    cloud.projects.delete_project(project.id, actor=acting(alice))
    cloud.worker.work()
    with pytest.raises(ConflictError, match="Its project is in the recycle bin"):
        cloud.vms.launching.sources.get(SourceKind.BACKUP, backup.id, actor=acting(alice))


def test_its_image_is_that_of_the_backup(cloud, alice, project, vm, backup, order):
    source = cloud.vms.launching.sources.get(SourceKind.BACKUP, backup.id, actor=acting(alice))
    assert (source.image.id, source.disk_gib, source.was_cut) == (backup.image_id, backup.disk_gib, True)
    assert (source.project_id, source.vm_name) == (project.id, vm.name)
    cloud.monitoring.processes.record_compute(ok=True, detail="", images=("other",))
    with pytest.raises(ValidationError) as refused:
        order()
    assert "is not on the host any more" in refused.value.details["image_id"]


def test_what_cannot_be_is_refused(cloud, alice, bob, vm, project, order, backup):
    big = cloud.launch(alice, project, "big", size="size_small")
    cloud.worker.work()
    large = cloud.back_up(alice, big)
    with pytest.raises(ValidationError) as refused:
        order(backup_id=large.id)
    assert "This backup needs a disk of at least" in refused.value.details["size_id"]
    with pytest.raises(NotFoundError):
        order(backup_id="bak_none")
    with pytest.raises(NotFoundError):
        cloud.vms.launching.sources.get(SourceKind.BACKUP, backup.id, actor=acting(bob))
    with pytest.raises(NotFoundError):
        cloud.vms.launching.sources.get(SourceKind.SNAPSHOT, backup.id, actor=acting(alice))
    join(cloud.container, project, bob, "viewer")
    with pytest.raises(PermissionDeniedError):
        cloud.vms.launching.sources.get(SourceKind.BACKUP, backup.id, actor=acting(bob))
    cloud.vms.backups.delete(vm.id, backup.id, actor=acting(alice))
    with pytest.raises(NotFoundError):
        order()
    cloud.vms.backups.take(vm.id, {"name": "half", "note": ""}, actor=acting(alice))
    with pytest.raises(ConflictError, match="not ready"):
        order(backup_id=cloud.vms.backups.list(vm.id, actor=acting(alice))[0].id)


def test_the_backup_stays_while_it_is_copied(cloud, alice, vm, order, backup):
    (copy,) = order()
    with pytest.raises(ConflictError, match="being made from this backup"):
        cloud.vms.backups.delete(vm.id, backup.id, actor=acting(alice))
    come_up(cloud, copy)
    cloud.vms.backups.delete(vm.id, backup.id, actor=acting(alice))
    keep(cloud)
    assert cloud.driver.backups.stored() == ()
    cloud.assert_sound()


def test_it_is_removed_with_its_machine_only_when_nobody_copies_it_any_more(cloud, alice, vm, order, backup):
    cloud.keep_deleted(7)
    delete(cloud, alice, vm)
    (copy,) = order()
    cloud.kill_at("create.begun")
    cloud.restart_worker()
    cloud.vms.bin.purge(vm.id, vm.name, actor=acting(alice))
    cloud.worker.work()
    keep(cloud)
    assert cloud.driver.backups.stored() == (backup.id,)
    cloud.clock.advance(31)
    cloud.live(60)
    assert cloud.vm(copy).state == VMState.RUNNING
    keep(cloud)
    assert cloud.driver.backups.stored() == ()
    cloud.assert_sound()


def test_one_that_fails_leaves_nothing_and_trying_again_copies_again(cloud, alice, order, backup):
    (copy,) = order()
    cloud.control.fault("copy_disk", "refuse", "*")
    cloud.worker.work()
    cloud.round(3)
    CopyKeeper(cloud.vms, cloud.driver).run()
    assert cloud.vm(copy).state == VMState.ERROR
    assert (cloud.driver.machine(copy.id), cloud.driver.copies.stored()) == (None, ())
    assert cloud.driver.backups.stored() == (backup.id,)
    assert cloud.vms.records.find_origin(copy.id).backup == backup.id
    cloud.vms.start_vm(copy.id, actor=acting(alice))
    come_up(cloud, copy)
    cloud.assert_sound()
