"""A LibvirtCompute of a test's own: its own namespace, data folder and network, all taken away at the end.

Where no libvirt answers it is started; where it cannot be, tests fail (they are never skipped).
"""

import contextlib
import functools
import os
import secrets
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.compute_contract import ComputeRig, wait_for
from zentry_web.adapters.compute.libvirt.accelerator import choose_accelerator
from zentry_web.adapters.compute.libvirt.copies.backups import BackupPlace
from zentry_web.adapters.compute.libvirt.driver import LibvirtCompute
from zentry_web.adapters.compute.libvirt.images.guest_images import get_image
from zentry_web.adapters.compute.libvirt.xml import domain_uuid

ROOT = Path(__file__).resolve().parent.parent


def let_the_hypervisor_pass(folder: Path) -> None:
    """pytest's folders are closed to everybody else; guests run as another user, who has to get to their files."""
    temporary = Path(tempfile.gettempdir())
    for place in (folder, *folder.parents):
        if temporary in place.parents and not place.stat().st_mode & stat.S_IXOTH:
            place.chmod(place.stat().st_mode | stat.S_IXOTH)


def libvirt_uri(folder: Path) -> str:
    """The daemon to test with; started by scripts/libvirtd-up where none answers, for this ``folder``.

    Guests get through to what is beside the folder.
    """
    let_the_hypervisor_pass(folder.parent)
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
    # Root's home is closed to the user that guests run as.
    home = Path("/var/cache") if os.geteuid() == 0 else Path.home() / ".cache"
    cache = Path(os.environ.get("XDG_CACHE_HOME") or home) / "zentry" / "test-images"
    cache.mkdir(parents=True, exist_ok=True)
    subprocess.run([ROOT / "scripts" / "build-image", cache / "tiny"], check=True, timeout=300)
    return cache


@functools.cache
def _probed() -> bytes:
    """What a probe of the tiny image said, as Zentry keeps it."""
    with tempfile.TemporaryDirectory() as folder:
        choose_accelerator(Path(folder), get_image(image_dir(), "tiny"))
        kept = Path(folder, "accelerator.json")
        return kept.read_bytes() if kept.exists() else b""


def know_the_accelerator(data: Path) -> None:
    """A Zentry in this folder need not try for ten seconds what another test has tried on this machine."""
    (data / "accelerator.json").write_bytes(_probed())


def lend_images(data: Path) -> None:
    """The tiny image, and what was found out about it, for a Zentry in this folder."""
    (data / "images").symlink_to(image_dir())
    know_the_accelerator(data)


def virsh(uri: str, *words: str) -> str:
    """Run virsh as an operator would, behind Zentry's back."""
    command = ["virsh", "--connect", uri, "--quiet", *words]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, f"virsh {' '.join(words)}: {done.stderr}"
    return done.stdout


@dataclass
class SshKey:
    """A key pair made for one test run."""

    private: Path
    public: str

    def run(self, address: str, command: str, port: int = 22) -> str:
        """What a command on the guest prints; fails if ssh does."""
        return self.give(address, command, None, port).decode()

    def give(self, address: str, command: str, data: bytes | None, port: int = 22) -> bytes:
        """The same, with ``data`` as its standard input."""
        options = ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR", "BatchMode=yes"]
        words = [word for option in (*options, "ConnectTimeout=10") for word in ("-o", option)]
        done = subprocess.run(
            ["ssh", "-i", self.private, "-p", str(port), *words, f"root@{address}", command],
            input=data,
            capture_output=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr.decode(errors="replace")
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

    def compute_rig(self) -> ComputeRig:
        """As the contract's tests want it."""
        return ComputeRig(
            self.driver,
            self.another,
            self.pull_plug,
            self.undefine,
            self.save,
            self.snapshot,
            self.pause,
            self.sleep,
            self.shadow,
            answer_seconds=90,
            ssh_keys=(self.key.public,),
        )

    def uuid(self, vm_id: str) -> str:
        return domain_uuid(self.namespace, vm_id)

    def filters(self) -> dict[str, str]:
        """The uuids of all network filters, by name."""
        rows = [line.split() for line in virsh(self.uri, "nwfilter-list").splitlines()]
        return {row[1]: row[0] for row in rows if len(row) == 2}

    def pull_plug(self, vm_id: str) -> None:
        virsh(self.uri, "destroy", self.uuid(vm_id))

    def undefine(self, vm_id: str) -> None:
        virsh(self.uri, "undefine", self.uuid(vm_id))

    def save(self, vm_id: str) -> None:
        virsh(self.uri, "managedsave", self.uuid(vm_id))

    def snapshot(self, vm_id: str) -> None:
        """What virt-manager makes by default: the guest goes on writing to a file beside its disk."""
        virsh(self.uri, "snapshot-create-as", self.uuid(vm_id), "s1", "--disk-only", "--atomic")

    def pause(self, vm_id: str) -> None:
        virsh(self.uri, "suspend", self.uuid(vm_id))

    def on_guest(self, vm_id: str, command: str) -> str:
        """What a command prints in the guest, once it listens."""

        def run() -> tuple[str, ...]:
            machine = self.driver.machine(vm_id)
            assert machine is not None
            try:
                return (self.key.run(machine.addresses[0], command),)
            except (AssertionError, IndexError):
                return ()

        return wait_for(run, 60, f"the guest to do: {command}", pause=0.5)[0].strip()

    def shadow(self, vm_id: str) -> str:
        """The hash of root's password in the guest."""
        return self.on_guest(vm_id, "sed -n 's/^root:\\([^:]*\\):.*/\\1/p' /etc/shadow")

    def sleep(self, vm_id: str) -> None:
        """The guest does it itself, once it listens."""
        self.on_guest(vm_id, "(sleep 1; echo mem > /sys/power/state) >/dev/null 2>&1 & true")


@contextlib.contextmanager
def libvirt_rig(folder: Path, uri: str | None = None) -> Iterator[LibvirtRig]:
    """A ready driver; all its machines, its network and its files are gone afterwards."""
    uri = uri or libvirt_uri(folder / "libvirtd-notes")
    namespace = secrets.token_hex(4)
    data_dir = folder / "data"
    data_dir.mkdir(exist_ok=True)
    let_the_hypervisor_pass(data_dir)
    know_the_accelerator(data_dir)
    driver = LibvirtCompute(uri, data_dir, namespace, image_dir(), backup_place=BackupPlace(folder / "backups", True))
    try:
        yield LibvirtRig(driver, uri, namespace, data_dir, make_ssh_key(folder))
    finally:
        driver.remove_everything()
        driver.close()
        shutil.rmtree(data_dir, ignore_errors=True)
        env = os.environ | {"ZENTRY_DATA": str(folder / "libvirtd-notes")}
        subprocess.run([ROOT / "scripts" / "libvirtd-down"], env=env, check=True, timeout=60)
