"""A LibvirtCompute of a test's own: its own namespace, data folder and network, all taken away at the end.

Where no libvirt answers it is started; where it cannot be, tests fail (they are never skipped).
"""

import contextlib
import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from zentry_web.adapters.compute.libvirt import LibvirtCompute
from zentry_web.adapters.compute.libvirt_xml import domain_uuid

ROOT = Path(__file__).resolve().parent.parent


def libvirt_uri(folder: Path) -> str:
    """The daemon to test with; started by scripts/libvirtd-up where none answers (``folder``: where it notes that)."""
    given = os.environ.get("ZENTRY_LIBVIRT_URI")
    if given:
        return given
    script = ROOT / "scripts" / "libvirtd-up"
    environment = os.environ | {"ZENTRY_DATA": str(folder)}
    done = subprocess.run([script], env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, f"no libvirt: {done.stderr}"
    return done.stdout.strip().splitlines()[-1]


def image_dir() -> Path:
    """The folder with the tiny image: the test run's, else one built here and kept in the cache."""
    given = os.environ.get("ZENTRY_TEST_IMAGES")
    if given and (Path(given) / "tiny" / "manifest.json").is_file():
        return Path(given)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "zentry" / "test-images"
    cache.mkdir(parents=True, exist_ok=True)
    subprocess.run([ROOT / "scripts" / "build-image", cache / "tiny"], check=True, timeout=300)
    return cache


def virsh(uri: str, *words: str) -> str:
    """Run virsh as an operator would, behind Zentry's back."""
    command = ["virsh", "--connect", uri, "--quiet", *words]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


@dataclass
class SshKey:
    """A key pair made for one test run."""

    private: Path
    public: str

    def run(self, address: str, command: str, port: int = 22) -> str:
        """What a command on the guest prints; fails if ssh does."""
        options = ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR", "BatchMode=yes"]
        words = [word for option in (*options, "ConnectTimeout=10") for word in ("-o", option)]
        done = subprocess.run(
            ["ssh", "-i", self.private, "-p", str(port), *words, f"root@{address}", command],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


def make_ssh_key(folder: Path) -> SshKey:
    private = folder / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", private], check=True, timeout=30)
    return SshKey(private, private.with_suffix(".pub").read_text().strip())


@dataclass
class LibvirtRig:
    """The driver and what tests need to reach around it."""

    driver: LibvirtCompute
    uri: str
    namespace: str
    data_dir: Path
    key: SshKey

    def another(self) -> LibvirtCompute:
        return LibvirtCompute(self.uri, self.data_dir, self.namespace, image_dir())

    def uuid(self, vm_id: str) -> str:
        return domain_uuid(self.namespace, vm_id)

    def pull_plug(self, vm_id: str) -> None:
        virsh(self.uri, "destroy", self.uuid(vm_id))

    def undefine(self, vm_id: str) -> None:
        virsh(self.uri, "undefine", self.uuid(vm_id))


@contextlib.contextmanager
def libvirt_rig(folder: Path, uri: str | None = None) -> Iterator[LibvirtRig]:
    """A ready driver; all its machines, its network and its files are gone afterwards."""
    uri = uri or libvirt_uri(folder / "libvirtd-notes")
    namespace = secrets.token_hex(4)
    data_dir = folder / "data"
    driver = LibvirtCompute(uri, data_dir, namespace, image_dir())
    try:
        yield LibvirtRig(driver, uri, namespace, data_dir, make_ssh_key(folder))
    finally:
        driver.remove_everything()
        driver.close()
        shutil.rmtree(data_dir, ignore_errors=True)
        notes = folder / "libvirtd-notes"
        if notes.exists():
            env = os.environ | {"ZENTRY_DATA": str(notes)}
            subprocess.run([ROOT / "scripts" / "libvirtd-down"], env=env, check=True, timeout=60)
