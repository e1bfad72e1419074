"""Files of machines that belong to root or to the hypervisor: how we read them all the same."""

import logging
import os
import secrets
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

from zentry_web.adapters.compute.base import ConsoleLog
from zentry_web.adapters.compute.libvirt.guests.console import plain_text

logger = logging.getLogger(__name__)

_CHUNK_BYTES = 65_536


def fetch_log(connection: Any, path: Path, max_bytes: int) -> ConsoleLog:
    """The last ``max_bytes`` of a log as plain text. May raise libvirtError."""
    pool = connection.storagePoolCreateXML(_pool_xml(path.parent), 0)
    try:
        volume = pool.storageVolLookupByName(path.name)
        size = int(volume.info()[1])
        start = max(0, size - max_bytes)
        stream = connection.newStream(0)
        volume.download(stream, start, size - start, 0)
        raw = b""
        while chunk := stream.recv(_CHUNK_BYTES):
            raw += chunk
        stream.finish()
    finally:
        pool.destroy()
    return ConsoleLog(plain_text(raw), size)


def stay_readable(path: Path) -> None:
    """libvirt makes others the owner of a file that a guest gets: of a log root, at each start. An entry for our own
    account in its access list outlives that, so that we read and write it all the same."""
    try:
        path.touch(mode=0o600)
        if os.geteuid() != 0:
            command = ["setfacl", "--modify", f"u:{os.geteuid()}:rw", str(path)]
            subprocess.run(command, check=True, capture_output=True, timeout=10)
    except (OSError, subprocess.SubprocessError) as error:
        # Also when root is the owner already: the entry is there then.
        logger.info("The access list of %s stays as it is: %s", path, error)


def _pool_xml(folder: Path) -> str:
    pool = ET.Element("pool", {"type": "dir"})
    ET.SubElement(pool, "name").text = f"zentry-console-{secrets.token_hex(6)}"
    ET.SubElement(ET.SubElement(pool, "target"), "path").text = str(folder)
    return ET.tostring(pool, encoding="unicode")
