"""Machines as a file."""

from collections.abc import Iterable

from flask import Response

from zentry_web.domain.credits.bill_csv import iso
from zentry_web.domain.label import written
from zentry_web.domain.vms.vm import VM
from zentry_web.web.output.files import csv_file

COLUMNS = (
    "id", "name", "state", "why", "owner_email", "owner_id", "project", "project_id", "size", "image", "vcpus",
    "memory_mib", "disk_gib", "address", "now_micro_per_hour", "running_micro_per_hour", "created_at", "started_at",
    "stopped_at", "labels",
)  # fmt: skip


def vm_file(vms: Iterable[VM]) -> Response:
    """A line for each machine, sent while they are read."""
    return csv_file("zentry-machines", COLUMNS, (_row(vm) for vm in vms))


def _row(vm: VM) -> tuple[object, ...]:
    return (
        vm.id, vm.name, str(vm.state), vm.state_reason, vm.owner_email, vm.owner_id, vm.project_name, vm.project_id,
        vm.size_name, vm.image_name, vm.vcpus, vm.memory_mib, vm.disk_gib, vm.address, vm.rate_micro_per_hour,
        vm.running_micro_per_hour, iso(vm.created_at), iso(vm.started_at), iso(vm.stopped_at),
        written(vm.labels, " "),
    )  # fmt: skip
