"""A domain's backup job, and holding its guest still for it. All functions may raise libvirtError."""

import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import libvirt

_NO_JOB = (libvirt.VIR_ERR_NO_DOMAIN_BACKUP, libvirt.VIR_ERR_OPERATION_INVALID, libvirt.VIR_ERR_NO_DOMAIN)
DISK = "vda"  # the machine's own; also what it is called where it is served
AGENT_SECONDS = 30  # a guest's agent has this long for each answer


def read_job(domain: Any) -> str:
    """The definition of the backup job that is under way; '' when there is none."""
    try:
        return str(domain.backupGetXMLDesc(0))
    except libvirt.libvirtError as error:
        if error.get_error_code() in _NO_JOB:
            return ""
        raise


def end_job(domain: Any) -> None:
    """End it; nothing happens when there is none."""
    if read_job(domain):
        domain.abortJob()


def job_part(domain: Any) -> float:
    """How much of it is done, from 0 to 1; 0 when the machine has gone off."""
    found = _statistics(domain, 0)
    return found.get("disk_processed", 0) / max(1, found.get("disk_total", 0))


def job_succeeded(domain: Any) -> bool:
    """Whether the last job that ended brought the whole copy."""
    return bool(_statistics(domain, libvirt.VIR_DOMAIN_JOB_STATS_COMPLETED).get("success"))


def _statistics(domain: Any, flags: int) -> dict[str, int]:
    try:
        return dict(domain.jobStats(flags))
    except libvirt.libvirtError as error:
        if error.get_error_code() in (libvirt.VIR_ERR_OPERATION_INVALID, libvirt.VIR_ERR_NO_DOMAIN):
            return {}
        raise


def push_xml(domain: Any, target: Path) -> str:
    """A job that writes a copy of the machine's disk into ``target``, a qcow2 that is there."""
    job = ET.Element("domainbackup", {"mode": "push"})
    ET.SubElement(_disk(domain, job), "target", {"file": str(target)})
    return ET.tostring(job, encoding="unicode")


def pull_xml(domain: Any, socket: Path, scratch: Path) -> str:
    """A job that serves the machine's disk by NBD on ``socket``, until it is ended. What the guest overwrites meanwhile
    is kept in ``scratch``, a qcow2 that is there."""
    job = ET.Element("domainbackup", {"mode": "pull"})
    ET.SubElement(job, "server", {"transport": "unix", "socket": str(socket)})
    ET.SubElement(_disk(domain, job), "scratch", {"file": str(scratch)})
    return ET.tostring(job, encoding="unicode")


def _disk(domain: Any, job: ET.Element) -> ET.Element:
    """Only the machine's own disk is copied: the seed and whatever else is attached are none of its data."""
    disks = ET.SubElement(job, "disks")
    own = ET.SubElement(disks, "disk", {"name": DISK, "backup": "yes", "type": "file"})
    ET.SubElement(own, "driver", {"type": "qcow2"})
    root = ET.fromstring(domain.XMLDesc())  # noqa: S314 - comes from libvirt
    for found in root.iterfind("devices/disk/target"):
        if found.get("dev") != DISK:
            ET.SubElement(disks, "disk", {"name": found.get("dev", ""), "backup": "no"})
    return own


def freeze(domain: Any) -> bool:
    """Whether its agent held at least one file system still; an agent that does not answer holds none."""
    try:
        domain.agentSetResponseTimeout(AGENT_SECONDS, 0)
        return bool(domain.fsFreeze() > 0)
    except libvirt.libvirtError:
        return False


def thaw(domain: Any) -> None:
    """Let its file systems go on; success if none was held."""
    domain.agentSetResponseTimeout(AGENT_SECONDS, 0)
    domain.fsThaw()
