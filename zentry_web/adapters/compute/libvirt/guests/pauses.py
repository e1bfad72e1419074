"""Machines that stand still: why, and how they go on. Functions that take a domain may raise libvirtError."""

from pathlib import Path
from typing import Any

import libvirt

from zentry_web.adapters.compute import host
from zentry_web.adapters.compute.base import ComputeRefused, PowerState
from zentry_web.adapters.compute.words import (
    DISK_FAILED,
    DISK_FULL,
    OFF_NO_SUSPEND,
    OFF_NOT_PAUSED,
    PAUSED,
    SLEEPING,
    STILL_FULL,
)

LEAST_ROOM_BYTES = 16 * host.MIB
# libvirt pauses a machine for a moment to do something of its own, and crashed guests are another matter.
_PASSING = {
    libvirt.VIR_DOMAIN_PAUSED_MIGRATION,
    libvirt.VIR_DOMAIN_PAUSED_SAVE,
    libvirt.VIR_DOMAIN_PAUSED_DUMP,
    libvirt.VIR_DOMAIN_PAUSED_SHUTTING_DOWN,
    libvirt.VIR_DOMAIN_PAUSED_SNAPSHOT,
    libvirt.VIR_DOMAIN_PAUSED_CRASHED,
    libvirt.VIR_DOMAIN_PAUSED_STARTING_UP,
}


def find_pause(domain: Any, state: int, reason: int) -> tuple[PowerState, str] | None:
    """How a domain in this state stands still and why, in words; None when it does not."""
    if state == libvirt.VIR_DOMAIN_PMSUSPENDED:
        return PowerState.SLEEPING, SLEEPING
    if state != libvirt.VIR_DOMAIN_PAUSED or reason in _PASSING:
        return None
    if reason == libvirt.VIR_DOMAIN_PAUSED_IOERROR:
        return PowerState.PAUSED, DISK_FULL if _met_full_disk(domain) else DISK_FAILED
    return PowerState.PAUSED, PAUSED


def stand_still(domain: Any) -> None:
    """Pause it if it does not stand still. Raises ComputeRefused when it is off."""
    if not domain.isActive():
        raise ComputeRefused(OFF_NO_SUSPEND)
    if find_pause(domain, *domain.state()) is None:
        domain.suspend()


def go_on(domain: Any, folder: Path) -> None:
    """Let it go on if it stands still. Raises ComputeRefused when it is off, or was paused for the full disk of
    ``folder`` and there still is no room."""
    state, reason = domain.state()
    pause = find_pause(domain, state, reason)
    if pause is None:
        if not domain.isActive():
            raise ComputeRefused(OFF_NOT_PAUSED)
    elif pause[0] is PowerState.SLEEPING:
        domain.pMWakeup(0)
    elif pause[1] == DISK_FULL and host.disk_bytes(folder)[1] < LEAST_ROOM_BYTES:
        raise ComputeRefused(STILL_FULL)
    else:
        domain.resume()


def _met_full_disk(domain: Any) -> bool:
    try:
        return libvirt.VIR_DOMAIN_DISK_ERROR_NO_SPACE in domain.diskErrors(0).values()
    except libvirt.libvirtError:  # it has just gone on, or off
        return False
