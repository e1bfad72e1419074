"""What a guest's console says of it, and the definition of a guest that is proved."""

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from zentry_web.adapters.compute.base import MachineSpec
from zentry_web.adapters.compute.libvirt.accelerator import Accelerator
from zentry_web.adapters.compute.libvirt.copies.proofs import proof_xml, sign_of
from zentry_web.adapters.compute.libvirt.xml import Placement, domain_xml, name_prefix
from zentry_web.adapters.compute.proofs import ProofLook, ProofSign
from zentry_web.domain.vms.proof import PROOF_SECONDS, ProofOutcome
from zentry_web.worker.proofs import outcome_of

FIRMWARE = "SeaBIOS (version 1.16)\niPXE (https://ipxe.org)\n\nBooting from Hard Disk...\nGRUB loading.\n"
READY = "ZENTRY-READY vm_a 2.31 at=1790000000\n"


@pytest.mark.parametrize(
    ("text", "is_on", "sign"),
    [
        ("", True, ProofSign.NOTHING),
        ("", False, ProofSign.OFF),
        (FIRMWARE, True, ProofSign.NOTHING),
        (f"{FIRMWARE}[  0.0] Linux version 6.1\n", True, ProofSign.OUTPUT),
        (f"{FIRMWARE}[  0.0] Linux version 6.1\n", False, ProofSign.OFF),
        (f"data: 900 MiB free on /data, kept across stop and start\n{READY}", True, ProofSign.UP),
        (READY, False, ProofSign.UP),
        (f"data: no data disk; /data is in memory and will be lost\n{READY}", True, ProofSign.BROKEN),
        ("Debian GNU/Linux 12 web-1 ttyS0\n\nweb-1 login: ", True, ProofSign.UP),
        ("Last login: Monday\n", True, ProofSign.OUTPUT),
        ("[ 3.1] Kernel panic - not syncing: VFS: Unable to mount root fs\n", True, ProofSign.BROKEN),
        ("ALERT! UUID=1 does not exist. Dropping to a shell!\n(initramfs) ", True, ProofSign.BROKEN),
        ("You are in emergency mode. After logging in, type\n", True, ProofSign.BROKEN),
        ("No bootable device.\n", True, ProofSign.BROKEN),
        ("user said: ZENTRY-READY\n", True, ProofSign.OUTPUT),
    ],
)
def test_what_a_console_says(text, is_on, sign):
    assert sign_of(text, is_on=is_on) is sign


@pytest.mark.parametrize(
    ("sign", "seconds", "outcome"),
    [
        (ProofSign.UP, 2, ProofOutcome.BOOTED),
        (ProofSign.UP, PROOF_SECONDS + 9, ProofOutcome.BOOTED),
        (ProofSign.BROKEN, 2, ProofOutcome.BROKEN),
        (ProofSign.OFF, 2, ProofOutcome.OFF),
        (ProofSign.NOTHING, PROOF_SECONDS - 1, None),
        (ProofSign.NOTHING, PROOF_SECONDS, ProofOutcome.SILENT),
        (ProofSign.OUTPUT, PROOF_SECONDS - 1, None),
        (ProofSign.OUTPUT, PROOF_SECONDS, ProofOutcome.SPOKE),
    ],
)
def test_how_it_ends(sign, seconds, outcome):
    assert outcome_of(ProofLook(seconds, sign)) is outcome


def test_its_definition_is_none_of_the_machines_and_leads_nowhere():
    spec = MachineSpec("bak_0123456789abcdef", "proof", 1, 256, 10, "tiny")
    files = [Path("/proof") / name for name in ("disk.qcow2", "seed.iso", "console.log")]
    place = Placement("/usr/bin/qemu", Accelerator.TCG, Path("/k"), Path("/i"), *files)
    text = proof_xml(domain_xml("0011aabb", spec, place), "0011aabb")
    domain = ET.fromstring(text)
    assert domain.findtext("name") == "zproof-0011aabb-456789abcdef"
    assert not domain.findtext("name").startswith(name_prefix("0011aabb"))
    assert domain.find("metadata") is None
    assert domain.find("devices/interface") is None
    assert "hostfwd" not in text
    assert "user,id=zentry0,restrict=on" in text
