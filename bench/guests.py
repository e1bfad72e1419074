"""Zentry on real guests: the settings to measure it with, virsh beside it, and taking all of it off the host."""

import os
import subprocess
from pathlib import Path

from bench.servers import make_config
from zentry_web.composition import default_libvirt_uri, make_compute
from zentry_web.config import Config


def libvirt_uri() -> str:
    """Where libvirt answers, as scripts/bench has found it."""
    return os.environ.get("ZENTRY_LIBVIRT_URI") or default_libvirt_uri()


def guest_config(folder: Path) -> Config:
    """Settings with a data folder of its own."""
    return make_config(folder, compute="libvirt", libvirt_uri=libvirt_uri())


def remove_guests(config: Config) -> None:
    """Its machines and its network are gone from the host."""
    driver = make_compute(config)
    driver.remove_everything()  # type: ignore[attr-defined]
    driver.close()


def virsh(uri: str, *words: str) -> str:
    """What an operator would do on the host; what virsh says."""
    command = ["virsh", "--connect", uri, "--quiet", *words]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout
