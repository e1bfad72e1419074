"""Proofs on libvirt: ``DATA/proofs/BACKUP_ID/{disk.qcow2,seed.iso,console.log}`` and a guest that is defined nowhere.

It boots a copy: libvirt makes its own user the owner of every file that a guest reads, also of what lies below a layer.
Its network is QEMU's own, which leads nowhere. libvirt destroys it when the worker that began it ends.
"""

import contextlib
import hashlib
import re
import shutil
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import libvirt

from zentry_web.adapters.compute import host
from zentry_web.adapters.compute.base import ComputeError, ComputeRefused, MachineSpec
from zentry_web.adapters.compute.libvirt.connection import LibvirtConnection
from zentry_web.adapters.compute.libvirt.copies.backups import LibvirtBackups
from zentry_web.adapters.compute.libvirt.copies.copying import Copying, Copyings
from zentry_web.adapters.compute.libvirt.copies.guest_copies import make_fresh
from zentry_web.adapters.compute.libvirt.definitions import LibvirtDefinitions
from zentry_web.adapters.compute.libvirt.disks.disks import used_bytes
from zentry_web.adapters.compute.libvirt.disks.files import fetch_log, stay_readable
from zentry_web.adapters.compute.libvirt.disks.seed import build_seed
from zentry_web.adapters.compute.libvirt.disks.storage import SAFE_ID, open_to_pass
from zentry_web.adapters.compute.libvirt.domains import look_up
from zentry_web.adapters.compute.libvirt.guests.console import read_log
from zentry_web.adapters.compute.libvirt.xml import QEMU_NS
from zentry_web.adapters.compute.proofs import ProofLook, ProofOrder, ProofSign
from zentry_web.adapters.compute.words import BACKUP_CHANGED
from zentry_web.domain.language import kept

LOG_BYTES = 65_536
_CHUNK = host.MIB
_UP = re.compile(r"^ZENTRY-READY \S+ [0-9.]+ at=[0-9]+$|\blogin: ?$", re.MULTILINE)
_BROKEN = re.compile(
    r"/data is in memory and will be lost|Kernel panic - not syncing|^\(initramfs\)|You are in emergency mode|"
    r"No bootable device|GRUB Rescue|^grub rescue>",
    re.MULTILINE | re.IGNORECASE,
)
_FIRMWARE = re.compile(r"^\s*$|SeaBIOS|iPXE|GRUB|^Booting |^Loading |^Machine UUID|BdsDxe|^UEFI", re.IGNORECASE)
_NO_WAY_OUT = "user,id=zentry0,restrict=on"


class LibvirtProofs:
    """See BackupProofs. ``check_memory`` raises ComputeRefused when the host has not so many MiB."""

    def __init__(
        self,
        folder: Path,
        namespace: str,
        connection: LibvirtConnection,
        definitions: LibvirtDefinitions,
        backups: LibvirtBackups,
        check_memory: Callable[[int], None],
    ) -> None:
        self._all, self._namespace, self._connection = folder, namespace, connection
        self._definitions, self._backups, self._check_memory = definitions, backups, check_memory
        self._copies = Copyings()
        self._begun: set[str] = set()  # by this process: with it they end

    def begin(self, order: ProofOrder) -> None:
        """See BackupProofs.begin."""
        key = order.backup_id
        if self._copies.is_under_way(key) or self._find(key) is not None:
            return
        packed, notes = self._backups.packed(key)
        size = max(1, notes.disk_gib)
        spec = MachineSpec(key, "proof", vcpus=1, memory_mib=order.memory_mib, disk_gib=size, image=order.image)
        self._definitions.image(spec)
        self._check_memory(order.memory_mib)
        open_to_pass(self._all)
        if used_bytes(packed) > host.disk_bytes(self._all)[1] - host.GIB:
            raise ComputeRefused(kept("The host has no room for a copy of the backup, which would be booted."))
        make_fresh(self._folder(key))  # here already: from now on one is stored
        self._copies.begin(key, lambda copying: self._boot(copying, order, spec, packed, notes.sha256))

    def look(self, backup_id: str) -> ProofLook | None:
        """See BackupProofs.look."""
        if self._copies.is_under_way(backup_id):
            return ProofLook()
        self._copies.part(backup_id)  # raises what it ended with
        is_on = self._find(backup_id) is not None
        if not is_on and backup_id not in self._begun:
            return None
        folder = self._folder(backup_id)
        try:
            text, began = self._read_console(folder), (folder / "began").stat().st_mtime
        except FileNotFoundError:
            return None
        return ProofLook(max(0.0, time.time() - began), sign_of(text, is_on=is_on), text)

    def end(self, backup_id: str) -> None:
        """See BackupProofs.end."""
        self._copies.abort(backup_id)
        self._connection.call(lambda c: self._destroy(c, backup_id), 60.0, changes=True, about="end of a proof")
        self._begun.discard(backup_id)
        shutil.rmtree(self._folder(backup_id), ignore_errors=True)

    def stored(self) -> tuple[str, ...]:
        """See BackupProofs.stored. The folder is there before the guest, and goes after it."""
        if not self._all.is_dir():
            return ()
        return tuple(sorted(path.name for path in self._all.iterdir() if SAFE_ID.fullmatch(path.name)))

    def close(self) -> None:
        """End copying; the guests end with the connection."""
        self._copies.close()

    # How

    def _boot(self, copying: Copying, order: ProofOrder, spec: MachineSpec, packed: Path, sha256: str) -> None:
        folder = self._folder(order.backup_id)
        try:
            if _copy(copying, packed, folder / "disk.qcow2") != sha256:
                raise ComputeRefused(BACKUP_CHANGED)
            told = replace(spec, vm_id=order.vm_id)
            (folder / "seed.iso").write_bytes(build_seed(told))
            for name in ("disk.qcow2", "seed.iso"):
                (folder / name).chmod(0o600)
            stay_readable(folder / "console.log")
            (folder / "began").touch()
            xml = proof_xml(self._definitions.xml_without_network(spec, folder), self._namespace)
            copying.watch.check()
            self._begun.add(order.backup_id)
            flags = libvirt.VIR_DOMAIN_START_AUTODESTROY
            self._connection.call(lambda c: c.createXML(xml, flags), 60.0, changes=True, about="a proof")
        except BaseException:
            with contextlib.suppress(ComputeError):
                self._connection.call(lambda c: self._destroy(c, order.backup_id), 60.0, changes=True)
            self._begun.discard(order.backup_id)
            shutil.rmtree(folder, ignore_errors=True)
            raise

    def _read_console(self, folder: Path) -> str:
        path = folder / "console.log"
        try:
            return read_log(path, LOG_BYTES).text
        except PermissionError:
            return self._connection.call(lambda c: fetch_log(c, path, LOG_BYTES)).text

    def _find(self, backup_id: str) -> Any:
        return self._connection.call(lambda c: look_up(c, self._namespace, backup_id))

    def _destroy(self, connection: Any, backup_id: str) -> None:
        domain = look_up(connection, self._namespace, backup_id)
        if domain is None:
            return
        try:
            domain.destroy()
        except libvirt.libvirtError as error:
            if error.get_error_code() not in (libvirt.VIR_ERR_OPERATION_INVALID, libvirt.VIR_ERR_NO_DOMAIN):
                raise

    def _folder(self, backup_id: str) -> Path:
        if not SAFE_ID.fullmatch(backup_id):
            raise ComputeRefused(f"“{backup_id}” is not an id that a backup can have.")
        return self._all / backup_id


def proof_xml(text: str, namespace: str) -> str:
    """Of a machine's definition without a network: that of a guest which is none of the machines, and whose network
    leads nowhere. Its name begins otherwise than theirs, and says nothing to those who list them."""
    domain = ET.fromstring(text)  # noqa: S314 - made by us
    name = domain.find("name")
    assert name is not None
    name.text = f"zproof-{namespace}-{str(name.text).rpartition('-')[2]}"
    if (metadata := domain.find("metadata")) is not None:
        domain.remove(metadata)
    for word in domain.iter(f"{{{QEMU_NS}}}arg"):
        if word.get("value", "").startswith("user,"):
            word.set("value", _NO_WAY_OUT)
    return ET.tostring(domain, encoding="unicode")


def sign_of(text: str, *, is_on: bool) -> ProofSign:
    """What a guest's console says of it."""
    if _BROKEN.search(text):
        return ProofSign.BROKEN
    if _UP.search(text):
        return ProofSign.UP
    if not is_on:
        return ProofSign.OFF
    lines = text.splitlines()
    return ProofSign.NOTHING if all(_FIRMWARE.search(line) for line in lines) else ProofSign.OUTPUT


def _copy(copying: Copying, packed: Path, target: Path) -> str:
    """Copy a file and sum what was read; the SHA-256, in hex. Raises Stopped."""
    sums = hashlib.sha256()
    with packed.open("rb") as source, target.open("xb") as sink:
        while chunk := source.read(_CHUNK):
            copying.watch.check()
            sums.update(chunk)
            sink.write(chunk)
    return sums.hexdigest()
