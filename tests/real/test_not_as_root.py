"""Nothing of Zentry's runs as root, nor do guests; and nobody else on the host reads what it keeps. Started as root."""

import os
import pwd
import re
import signal
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.compute_contract import wait_for
from tests.conftest import ROOT, make_config
from tests.libvirt_daemon import PrivateLibvirtd, private_libvirtd
from tests.libvirt_fixture import lend_images, let_the_hypervisor_pass
from tests.real.worker_process import Rig, guest_rig_on
from zentry_web.adapters.compute.host import find_guest_process
from zentry_web.adapters.compute.libvirt.xml import domain_uuid
from zentry_web.domain.vms.state import VMState

pytestmark = [pytest.mark.real, pytest.mark.timeout(1200)]

PLAYED = "clock.json"  # also written by the test's own process, which plays the web and is root, with another umask
# Tells which of the files on its standard input it can read or write.
_TRY = 'while IFS= read -r file; do if head -c 1 "$file" >/dev/null 2>&1 || [ -w "$file" ]; then echo "$file"; fi; done'


def within_reach_of_nobody(folder: Path) -> list[str]:
    """What an account without any rights can read or write below ``folder``, guest images aside: they are Debian's."""
    found = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    files = [path for path in found if folder / "images" not in path.parents and path.name != PLAYED]
    assert files
    words = ["setpriv", "--reuid", "nobody", "--regid", "nogroup", "--clear-groups", "sh", "-c", _TRY]
    done = subprocess.run(
        words, input="".join(f"{path}\n" for path in files), capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout.split("\n")[:-1]


def family(pid: int) -> dict[int, int]:
    """The user of a process and of all its descendants."""
    parents, users = {}, {}
    for entry in Path("/proc").glob("[0-9]*/status"):
        try:
            text = entry.read_text()
        except OSError:
            continue
        found = int(entry.parent.name)
        parents[found] = int(re.search(r"^PPid:\t(\d+)$", text, re.MULTILINE)[1])
        users[found] = int(re.search(r"^Uid:\t\d+\t(\d+)", text, re.MULTILINE)[1])
    members = {pid}
    while more := {child for child, parent in parents.items() if parent in members} - members:
        members |= more
    return {member: users[member] for member in members}


def give_away(data: Path) -> int:
    """Do with the data folder what ``make run`` does; the user it belongs to then."""
    environment = os.environ | {"ZENTRY_DATA": str(data)}
    done = subprocess.run(
        [ROOT / "scripts" / "own-account"], env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return pwd.getpwnam(done.stdout.strip()).pw_uid


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder as an earlier Zentry left it: root's, and some of it for all to read."""
    folder = tmp_path / "data"
    machine = folder / "machines" / "vm_OLD"
    machine.mkdir(parents=True)
    for name in ("console.log", "machine.json", "disk.qcow2"):
        (machine / name).write_text("secret")
        (machine / name).chmod(0o644)
    (folder / "namespace").write_text("0011aabb\n")
    for path in (folder, folder / "machines", machine):
        path.chmod(0o711)
    let_the_hypervisor_pass(folder)
    return folder


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


@pytest.mark.asvs("13.2.2")
def test_what_make_run_starts_is_not_root_and_keeps_its_files_to_itself(data: Path, tmp_path: Path) -> None:
    (data / "machines" / "vm_OLD" / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").write_text("root's own")
    port = free_port()
    environment = os.environ | {
        "ZENTRY_DATA": str(data),
        "PORT": str(port),
        "ZENTRY_COMPUTE": "simulator",
        "ZENTRY_WEB_WORKERS": "1",
        "ZENTRY_WEB_THREADS": "20",
    }
    out = tmp_path / "out"
    with out.open("wb") as log:
        shell = subprocess.Popen([ROOT / "scripts" / "run"], env=environment, stdout=log, stderr=log)
    try:
        wait_for(lambda: b"/welcome/" in out.read_bytes(), 300, "the link of the first admin")
        with urllib.request.urlopen(f"http://localhost:{port}/login", timeout=30) as page:
            assert page.status == 200
        zentry = data.stat().st_uid
        assert zentry not in (0, pwd.getpwnam("nobody").pw_uid)
        running = family(shell.pid)
        del running[shell.pid]  # the script itself, which waits
        assert len(running) >= 4, "supervisor, gunicorn and its process, worker"
        assert set(running.values()) == {zentry}
        owners = {path: path.lstat().st_uid for path in data.rglob("*") if not path.is_symlink()}
        assert set(owners.values()) == {zentry}
        assert (tmp_path / "elsewhere").stat().st_uid == 0, "no link leads out of the folder"
        assert within_reach_of_nobody(data) == []
        assert {path.name for path in data.iterdir()} >= {"zentry.sqlite", "simulator.sqlite", "machines"}
    finally:
        shell.send_signal(signal.SIGTERM)
        assert shell.wait(120) == 0, out.read_text()


def test_a_folder_of_others_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "letters").write_text("dear all")
    environment = os.environ | {"ZENTRY_DATA": str(tmp_path)}
    done = subprocess.run(
        [ROOT / "scripts" / "own-account"], env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode != 0
    assert "nothing of Zentry's" in done.stderr
    assert tmp_path.stat().st_uid == 0


def test_root_becomes_whoever_owns_the_folder(data: Path) -> None:
    games = pwd.getpwnam("games").pw_uid
    os.chown(data, games, -1)
    program = "import os; from zentry_web.account import leave_root; from pathlib import Path; import sys;"
    program += "leave_root(Path(sys.argv[1])); print(os.getresuid(), os.getgroups())"
    words = [ROOT / ".venv" / "bin" / "python", "-c", program, str(data)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.startswith(f"({games}, {games}, {games}) ")
    assert " 0" not in done.stdout.partition("[")[2]


# With a real guest


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[PrivateLibvirtd]:
    let_the_hypervisor_pass(tmp_path)
    with private_libvirtd(tmp_path / "libvirtd") as daemon:
        yield daemon


@pytest.fixture
def rig(data: Path, daemon: PrivateLibvirtd) -> Iterator[Rig]:
    lend_images(data)
    give_away(data)
    backups = data.parent / "backups"
    backups.mkdir()
    backups.chmod(0o711)
    os.chown(backups, data.stat().st_uid, -1)
    config = make_config(data, compute="libvirt", libvirt_uri=daemon.uri, backups=backups, backups_same_disk=True)
    environment = os.environ | {"ZENTRY_DATA": str(data), "ZENTRY_COMPUTE": "libvirt"}
    subprocess.run([ROOT / ".venv" / "bin" / "zentry", "migrate"], env=environment, check=True, timeout=60)
    with guest_rig_on(config) as made:
        yield made


@pytest.mark.asvs("13.2.2")
def test_guests_and_worker_are_accounts_of_their_own_and_nobody_reads_their_files(rig: Rig) -> None:
    data, zentry = rig.config.data, rig.config.data.stat().st_uid
    hypervisor = pwd.getpwnam("libvirt-qemu").pw_uid
    assert len({0, zentry, hypervisor}) == 3
    vm = rig.launch("web")
    (data / "worker.log").touch(mode=0o600)  # the test's
    rig.worker.start()
    rig.worker.wait_for(lambda: rig.state(vm) == VMState.RUNNING, 300, "the VM to run")
    rig.worker.wait_for(lambda: rig.vms.get_vm(vm.id).answered_at, 300, "the guest to answer")
    assert set(family(rig.worker.process.pid).values()) == {zentry}
    guest = find_guest_process(domain_uuid(rig.config.get_namespace(), vm.id))
    assert Path(f"/proc/{guest.pid}").stat().st_uid == hypervisor
    assert within_reach_of_nobody(data) == []
    # The worker reads the console, although the guest's process writes it.
    console = data / "machines" / vm.id / "console.log"
    reader = ["setpriv", "--reuid", "zentry", "--regid", "zentry", "--init-groups", "cat", str(console)]
    wait_for(
        lambda: b"ZENTRY-READY" in subprocess.run(reader, check=True, capture_output=True, timeout=30).stdout,
        60,
        "the ready line, read as the worker does",
    )

    rig.vms.backups.take(vm.id, {"name": "first", "note": ""}, actor=rig.me)
    rig.worker.wait_for(lambda: rig.is_settled(), 120, "a backup")
    (backup,) = rig.vms.backups.list(vm.id, actor=rig.me)
    assert backup.is_ready
    assert "two passes" not in (data / "worker.log").read_text(), "its disk was served to the account of the worker"
    assert within_reach_of_nobody(rig.config.backups) == []

    rig.vms.resize_vm(vm.id, "size_small", actor=rig.me)
    rig.worker.wait_for(lambda: rig.is_settled(), 300, "another size, with a larger disk")
    assert rig.state(vm) == VMState.RUNNING
    assert within_reach_of_nobody(data) == []
    rig.vms.stop_vm(vm.id, actor=rig.me)
    rig.worker.wait_for(lambda: rig.state(vm) == VMState.STOPPED, 300, "the VM to be off")
    files = list((data / "machines" / vm.id).iterdir())
    # The console is root's since the start; a read-only disk, the seed, stays with the hypervisor's user.
    owners = {path.name: path.stat().st_uid for path in files}
    del owners["console.log"], owners["seed.iso"]
    assert set(owners.values()) == {zentry}, f"what libvirt took it has given back: {owners}"
    assert within_reach_of_nobody(data) == []
