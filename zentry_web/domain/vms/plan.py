"""What an order changes: before and after side by side, and what of it is promised when it is confirmed."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from zentry_web.domain.projects.quota import Resource, format_memory
from zentry_web.domain.vms.catalogue import Image, Size
from zentry_web.domain.vms.snapshot import Snapshot
from zentry_web.domain.vms.vm import VM, Rates

# What a plan promises, in words that can be compared and sent along with a form: {"size": "small", "running": "5000"}.
Facts = dict[str, str]
LONGEST_FACTS = 4000  # characters, as written into a form


@dataclass(frozen=True, slots=True)
class PlanSide:
    """How things stand before, or will stand after. Rates are micro-credits per hour of the machines it is about;
    ``burn`` is that of all that the payer pays for. None: not known, or there is none."""

    machines: int
    vcpus: int
    memory_mib: int
    disk_gib: int
    rate: int
    burn: int | None = None
    runs_out_at: datetime | None = None
    left: tuple[tuple[Resource, int], ...] = ()  # of the quotas
    forecast_micro: int | None = None  # what the month will have cost the project


@dataclass(frozen=True, slots=True)
class ChangePlan:
    """``project``: before and after, where that changes. ``budget_micro``: of the project, None without one."""

    before: PlanSide
    after: PlanSide
    facts: Facts
    budget_micro: int | None = None


def facts_of(vm: VM) -> Facts:
    """What is promised of a machine as it was shown."""
    return {
        "name": vm.name,
        "project": vm.project_name,
        "size": vm.size_name,
        "disk": str(vm.disk_gib),
        "power": "on" if vm.is_on else "off",
        "running": str(vm.running_micro_per_hour),
        "stopped": str(vm.stopped_micro_per_hour),
    }


def deletion_facts(vm: VM, days: int) -> Facts:
    """The same of a machine that is deleted, and for how many days it is kept."""
    return facts_of(vm) | {"days": str(days)}


def resize_facts(vm: VM, size: Size) -> Facts:
    """The same of a machine that changes its size, and what that size is and costs."""
    return facts_of(vm) | {
        "new_size": f"{size.name}, {size.vcpus} vCPU, {format_memory(size.memory_mib)}, {size.disk_gib} GiB",
        "new_running": str(size.running_micro_per_hour),
        "new_stopped": str(size.stopped_micro_per_hour),
    }


def rebuild_facts(vm: VM, image: Image, rates: Rates) -> Facts:
    """The same of a machine that is made anew from an image, and what it costs with that one."""
    return facts_of(vm) | {
        "image": vm.image_name,
        "new_image": f"{image.name}, {image.version}" if image.version else image.name,
        "with_image_running": str(rates.running),
        "with_image_stopped": str(rates.stopped),
    }


def revert_facts(vm: VM, snapshot: Snapshot) -> Facts:
    """The same of a machine that goes back to a snapshot, and whether it runs then."""
    return facts_of(vm) | {"snapshot": snapshot.name, "then": "on" if snapshot.has_memory else "off"}


def facts_of_several(vms: Iterable[VM]) -> Facts:
    """The same of several at once: how many, what they cost together, and a digest of each one's facts."""
    some = sorted(vms, key=lambda vm: vm.id)
    each = [[vm.id, facts_of(vm)] for vm in some]
    return {
        "machines": str(len(some)),
        "running": str(sum(vm.running_micro_per_hour for vm in some)),
        "stopped": str(sum(vm.stopped_micro_per_hour for vm in some)),
        "digest": hashlib.sha256(json.dumps(each, sort_keys=True).encode()).hexdigest()[:20],
    }


def write_facts(facts: Facts) -> str:
    """As a form sends them along."""
    return json.dumps(facts, sort_keys=True, separators=(",", ":"))


def read_facts(text: str) -> Facts | None:
    """What ``write_facts`` wrote; None without any. What says something else promises nothing that is true."""
    if not text:
        return None
    try:
        found = json.loads(text) if len(text) <= LONGEST_FACTS else None
    except ValueError:
        found = None
    if not isinstance(found, dict):
        return {}
    return {str(key)[:20]: str(value)[:200] for key, value in found.items()}
