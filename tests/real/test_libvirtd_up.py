"""scripts/libvirtd-up on a machine where no libvirt answers: a mount namespace with folders of its own. Needs root."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.conftest import ROOT

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

OLD = "# Written by Zentry (scripts/libvirtd-up) because there was no such file. Zentry does not change it again.\n"
OLD += 'user = "root"\ngroup = "root"\nstdio_handler = "file"\n'
THEIRS = '# ours\nuser = "root"\ngroup = "root"\nstdio_handler = "file"\n'
ASK = "-- timeout 20 virsh --connect qemu:///system --quiet list"
SCRIPT = f"""
mount -t tmpfs none /run
for place in etc var/lib var/log; do
    mkdir -p "$1/$place"
    mount --bind "$1/$place" /$place/libvirt
done
. scripts/lib.sh
make_libvirt_accounts
make_own_account libvirt
scripts/libvirtd-up
run_as zentry true && setpriv --reuid zentry --regid zentry --init-groups {ASK} && echo zentry may
setpriv --reuid nobody --regid nogroup --clear-groups {ASK} || echo nobody may not
scripts/libvirtd-down
! timeout 20 virsh --connect qemu:///system --quiet list || echo it still answers
"""


def start(folder: Path, conf: str | None) -> tuple[str, str]:
    """Run the script where this is qemu.conf; what was printed, and the file afterwards."""
    (folder / "etc").mkdir()
    for made in ("etc", "var/lib/libvirt", "var/log/libvirt"):
        Path("/", made.removesuffix("libvirt"), "libvirt").mkdir(parents=True, exist_ok=True)
    kept = folder / "etc" / "qemu.conf"
    if conf is not None:
        kept.write_text(conf)
    environment = os.environ | {"ZENTRY_DATA": str(folder / "data")}
    environment.pop("ZENTRY_LIBVIRT_URI", None)
    words = ["unshare", "--mount", "--propagation", "private", "--", "bash", "-c", SCRIPT, "bash", str(folder)]
    done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=240)
    return done.stdout + done.stderr, kept.read_text() if kept.exists() else ""


@pytest.mark.parametrize("before", [None, OLD], ids=["none", "an earlier Zentry's"])
def test_guests_run_as_an_account_of_their_own(tmp_path: Path, before: str | None) -> None:
    printed, conf = start(tmp_path, before)
    assert 'user = "libvirt-qemu"' in conf, printed
    assert '"root"' not in conf
    assert "zentry may" in printed, printed
    assert "nobody may not" in printed, printed
    assert "it still answers" not in printed, printed


def test_a_file_of_somebody_elses_stays(tmp_path: Path) -> None:
    printed, conf = start(tmp_path, THEIRS)
    assert conf == THEIRS, printed
    assert "zentry may" in printed, printed
