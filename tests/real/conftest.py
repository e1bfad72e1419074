"""Real libvirt for the files that want no more than a driver of their own on it; others make theirs."""

from collections.abc import Iterator

import pytest

from tests.compute_contract import ComputeRig
from tests.libvirt_fixture import LibvirtRig, libvirt_rig


@pytest.fixture(scope="module")
def libvirt(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LibvirtRig]:
    with libvirt_rig(tmp_path_factory.mktemp("libvirt")) as rig:
        yield rig


@pytest.fixture(scope="module")
def rig(libvirt: LibvirtRig) -> ComputeRig:
    return libvirt.compute_rig()
