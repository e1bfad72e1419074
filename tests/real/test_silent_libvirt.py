"""Images that do not boot, on real guests: the pages of their machines say so after a time, with what the console said
last and ways on."""

import pytest

from tests.functional.conftest import Browser
from tests.real.worker_process import rig_with_images
from zentry_web import create_app
from zentry_web.domain.user import SYSTEM
from zentry_web.domain.vms.image import VersionState

pytestmark = [pytest.mark.real, pytest.mark.timeout(240)]

SILENT_SECONDS = "3"
LAST_WORDS = "Loading Linux ...\r\nerror: no such partition.\r\nEntering rescue mode...\r\ngrub rescue> "
FACTS = {"min_memory_mib": "128 MiB", "min_disk_gib": "1", "default_user": "root", "user_data": "none"}


@pytest.fixture
def real(tmp_path):
    with rig_with_images(tmp_path, ZENTRY_SILENT_SECONDS=SILENT_SECONDS) as rig:
        yield rig


def boot_sector(words: str) -> bytes:
    """What a disk begins with: a loader that prints these words on the serial port, and stands still for ever."""
    begin = "31c0 8ed8 be227c fc"  # the words stand after this code
    each = "ac 84c0 7412 89c3"  # the next of their bytes, until it is 0
    send = "bafd03 ec a820 74fb baf803 88d8 ee ebe9"  # as soon as the port takes it
    stand = "f4 ebfd"
    code = bytes.fromhex(f"{begin} {each} {send} {stand}") + words.encode() + b"\0"
    assert len(code) <= 510
    return code.ljust(510, b"\0") + b"\x55\xaa"


def add_image(rig, name, content):
    """The admin brings a file of 16 MiB that begins with this; the version's id."""
    path = rig.config.image_dir / f".incoming-{name}"
    path.write_bytes(content)
    with path.open("ab") as file:
        file.truncate(16 * 1024**2)
    return rig.vms.images.add_file(FACTS | {"name": name}, str(path), actor=SYSTEM)


def launch(rig, version):
    chosen = {"project_id": rig.project.id, "size_id": "size_nano", "image_id": version.image_id}
    return rig.vms.create_vm(chosen | {"name": f"on-{version.image_id[-4:].lower()}"}, rig.alice, actor=rig.me)


def test_it_is_said_with_the_last_words_and_ways_on(real):
    versions = [
        add_image(real, "stuck", boot_sector(LAST_WORDS)),
        add_image(real, "no-loader", bytes(510) + b"\x55\xaa"),
    ]
    real.worker.start()

    def are_ready():
        found = [real.vms.images.get_version(each.id, actor=SYSTEM) for each in versions]
        assert not [each.reason for each in found if each.state == VersionState.FAILED], found
        return all(each.state == VersionState.READY for each in found)

    real.worker.wait_for(are_ready, 60, "the images")
    machines = [launch(real, version) for version in versions]
    browser = Browser(create_app(real.config, real.container)).log_in(real.alice)

    def status(vm):
        page = browser.page(f"/vms/{vm.id}")
        text = "".join(page.one("//*[@id='vm-status']").itertext())
        return (page, text) if "It has given no sign of life" in text else None

    for vm, words in zip(machines, ("grub rescue>", "Booting from Hard Disk"), strict=True):
        page, text = real.worker.wait_for(lambda vm=vm: status(vm), 60, f"{words}, to be said as silence")
        assert "paid for as running" in text
        assert words in text, text
        ways = [link.get("href") for link in page.find("//*[@id='vm-status']//*[@class='z-alert-actions']/a")]
        assert ways == [f"/vms/{vm.id}/{way}" for way in ("console", "rescue", "rebuild")]
    real.worker.end()
    real.assert_sound()
