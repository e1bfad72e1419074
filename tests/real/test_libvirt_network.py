"""The first machines of a Zentry are often started together: they share one network, made once."""

import threading

import pytest

from tests.libvirt_fixture import LibvirtRig, libvirt_rig, virsh

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]


def ensure_at_once(drivers, count):
    gate, failures = threading.Barrier(count), []

    def ensure(driver):
        gate.wait(30)
        try:
            driver._connection.call(driver._network.ensure, 60.0, changes=True)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=ensure, args=(drivers[i % len(drivers)],)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(90)
    return failures


@pytest.fixture
def rig(tmp_path):
    with libvirt_rig(tmp_path) as made:
        yield made


def test_the_network_is_made_once_by_many(rig: LibvirtRig):
    other = rig.another()  # as another process would
    try:
        for driver in (rig.driver, other):
            assert driver.health().ok
        assert ensure_at_once([rig.driver, other], 8) == []
        names = virsh(rig.uri, "net-list", "--name").split()
        assert names.count(rig.driver._network.name) == 1
    finally:
        other.close()
