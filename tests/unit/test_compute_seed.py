"""The seed ISO."""

import io

import pytest
from pycdlib import PyCdlib

from zentry_web.adapters.compute.base import MachineSpec
from zentry_web.adapters.compute.libvirt.disks.seed import build_seed, seed_files

pytestmark = pytest.mark.unit

SPEC = MachineSpec(
    "vm_1", "alpha", 1, 128, 1, "tiny", (" ssh-ed25519 AAAA one \n", "", "ssh-rsa BBBB two"), "#!/bin/sh\r\necho hé\r\n"
)


def test_the_files() -> None:
    assert seed_files(SPEC) == {
        "meta-data": b"instance-id: vm_1\nlocal-hostname: alpha\n"
        b'public-keys:\n  - "ssh-ed25519 AAAA one"\n  - "ssh-rsa BBBB two"\n',
        "authorized_keys": b"ssh-ed25519 AAAA one\nssh-rsa BBBB two\n",
        "user-data": "#!/bin/sh\necho hé\n".encode(),
    }


def test_the_iso_holds_them_under_their_names() -> None:
    image = build_seed(SPEC)
    assert image[32808:32814] == b"cidata", "the guest knows the seed by this label at this place"
    iso = PyCdlib()
    iso.open_fp(io.BytesIO(image))
    for name, content in seed_files(SPEC).items():
        for path in ({"rr_path": f"/{name}"}, {"joliet_path": f"/{name}"}):
            out = io.BytesIO()
            iso.get_file_from_iso_fp(out, **path)
            assert out.getvalue() == content
    iso.close()


def test_an_empty_seed_and_a_large_one() -> None:
    bare = MachineSpec("vm_1", "alpha", 1, 128, 1, "tiny")
    assert seed_files(bare)["user-data"] == b""
    assert len(build_seed(bare)) < 500_000
    large = MachineSpec("vm_1", "alpha", 1, 128, 1, "tiny", user_data="#!/bin/sh\n" + "# x\n" * 16_000)
    assert len(build_seed(large)) > 64_000
