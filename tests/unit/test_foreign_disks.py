"""Disks from elsewhere are refused with a reason, or become a fresh qcow2 that names no other file."""

import json
import subprocess
from dataclasses import replace
from types import SimpleNamespace

import pytest

from zentry_web.adapters.compute.base import ComputeRefused
from zentry_web.adapters.compute.images import ImageLimits, ImageOrder
from zentry_web.adapters.compute.libvirt.disks import foreign_disks
from zentry_web.adapters.compute.libvirt.images import images as images_module
from zentry_web.adapters.compute.libvirt.images.images import LibvirtImages
from zentry_web.adapters.compute.watch import Stopped, Watch
from zentry_web.domain.language import speaking
from zentry_web.domain.stored_texts import said
from zentry_web.domain.vms.image import ImageSource

pytestmark = pytest.mark.unit

MIB = 1024**2
LIMITS = ImageLimits(most_bytes=64 * MIB)
UNCONCERNED = Watch(lambda step: None, lambda done, total: None, lambda: True)


def qemu_img(*words):
    return subprocess.run(["qemu-img", *map(str, words)], check=True, capture_output=True, timeout=60).stdout


@pytest.fixture
def plain(tmp_path):
    """A disk with something on it that looks like a boot loader."""
    path = tmp_path / "plain.raw"
    path.write_bytes(b"\x90" * 510 + b"\x55\xaa" + b"zentry" * 1000)
    with path.open("ab") as file:
        file.truncate(8 * MIB)
    return path


@pytest.fixture
def order(plain):
    return ImageOrder("mine", ImageSource.FILE, str(plain), limits=LIMITS)


@pytest.fixture
def images(tmp_path):
    return LibvirtImages(tmp_path / "images", SimpleNamespace(bases=lambda: {"used"}))


def converted(plain, tmp_path, kind, *options):
    path = tmp_path / f"disk.{kind}"
    qemu_img("convert", "-f", "raw", "-O", kind, *options, plain, path)
    return path


@pytest.mark.parametrize("kind", ["qcow2", "vmdk", "vdi", "vhdx", "vpc"])
def test_the_known_formats(plain, tmp_path, kind):
    found, size = foreign_disks.look_at(converted(plain, tmp_path, kind), LIMITS)
    assert found == kind
    assert size >= 8 * MIB


def test_a_raw_disk_with_a_boot_loader(plain):
    assert foreign_disks.look_at(plain, LIMITS) == ("raw", 8 * MIB)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"root:x:0:0:root:/root:/bin/bash\n" * 100, "no disk that Zentry knows"),
        (b"\xfd7zXZ\x00" + b"x" * 1000, "packed with xz"),
        (b"\x1f\x8b\x08" + b"x" * 1000, "packed with gzip"),
        (b"PK\x03\x04" + b"x" * 1000, "packed with zip"),
        (b"", "no disk that Zentry knows|could not be looked at"),
        (b"QFI\xfb" + b"\xff" * 600, "based on another file"),
    ],
)
def test_what_is_no_disk(tmp_path, content, reason):
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(ComputeRefused, match=reason):
        foreign_disks.look_at(path, LIMITS)


@pytest.mark.parametrize(
    "base", ["/etc/passwd", 'json:{"driver":"raw","file":{"driver":"file","filename":"/etc/passwd"}}']
)
def test_one_that_is_based_on_another_file(tmp_path, base):
    path = tmp_path / "layer.qcow2"
    qemu_img("create", "-q", "-u", "-f", "qcow2", "-F", "raw", "-b", base, path, "8M")
    with pytest.raises(ComputeRefused, match="based on another file"):
        foreign_disks.look_at(path, LIMITS)


def test_one_that_keeps_its_data_elsewhere(tmp_path):
    path = tmp_path / "thin.qcow2"
    qemu_img("create", "-q", "-f", "qcow2", "-o", f"data_file={tmp_path / 'data'},data_file_raw=on", path, "8M")
    with pytest.raises(ComputeRefused, match="keeps its data in another file"):
        foreign_disks.look_at(path, LIMITS)


def test_a_vmware_disk_in_pieces(plain, tmp_path):
    path = converted(plain, tmp_path, "vmdk", "-o", "subformat=monolithicFlat")
    with pytest.raises(ComputeRefused, match="keeps its data in another file"):
        foreign_disks.look_at(path, LIMITS)


def test_one_that_is_encrypted(tmp_path):
    path = tmp_path / "locked.qcow2"
    options = "encrypt.format=luks,encrypt.key-secret=one,encrypt.iter-time=10"
    command = [
        "qemu-img",
        "create",
        "-q",
        "--object",
        "secret,id=one,data=abc",
        "-f",
        "qcow2",
        "-o",
        options,
        path,
        "8M",
    ]
    for _ in range(50):  # it measures its processor, and gives up where that is busy ("accurate CPU usage")
        if subprocess.run(command, check=False, capture_output=True, timeout=60).returncode == 0:
            break
    with pytest.raises(ComputeRefused, match="encrypted"):
        foreign_disks.look_at(path, LIMITS)


def test_one_that_is_larger_than_allowed(tmp_path):
    path = tmp_path / "large.qcow2"
    qemu_img("create", "-q", "-f", "qcow2", path, "1T")
    with pytest.raises(ComputeRefused, match="larger than"):
        foreign_disks.look_at(path, LIMITS)


def test_a_file_becomes_an_image_that_names_nothing_else(images, order, tmp_path):
    steps = []
    facts = images.make(order, replace(UNCONCERNED, at=steps.append))
    assert steps == ["digest", "look", "convert", "check", "place"]
    assert images.names() == ("mine",)
    folder = tmp_path / "images" / "mine"
    info = json.loads(qemu_img("info", "--output=json", folder / "disk.qcow2"))
    assert (info["format"], info["virtual-size"]) == ("qcow2", 8 * MIB)
    assert "backing-filename" not in info
    assert json.loads((folder / "manifest.json").read_text()) == {
        "disk_bytes": 8 * MIB, "disk_sha256": facts.sha256
    }  # fmt: skip
    assert (facts.disk_bytes, facts.size_bytes > 0, len(facts.sha256)) == (8 * MIB, True, 64)
    assert images.make(order, UNCONCERNED) == facts, "made once"
    assert [path.name for path in (tmp_path / "images").iterdir()] == ["mine"]


def test_another_digest_is_refused_and_leaves_nothing(images, order, tmp_path):
    with pytest.raises(ComputeRefused, match="not the one that was named: its SHA-256 is"):
        images.make(replace(order, sha256="0" * 64), UNCONCERNED)
    assert list((tmp_path / "images").iterdir()) == []


def test_a_file_that_went_away(images, order):
    with pytest.raises(ComputeRefused, match="not there any more"):
        images.make(replace(order, reference="/nowhere/disk.qcow2"), UNCONCERNED)


def test_one_that_is_stopped_can_be_gone_on_with_or_forgotten(images, order, tmp_path):
    with pytest.raises(Stopped):
        images.make(order, replace(UNCONCERNED, wanted=lambda: False))
    assert images.names() == ()
    images.forget(order)
    assert list((tmp_path / "images").iterdir()) == []
    images.make(order, UNCONCERNED)
    assert images.names() == ("mine",)


def test_a_build_that_fails_shows_its_last_lines_and_keeps_all_of_them(images, tmp_path, monkeypatch):
    recipe = tmp_path / "build"
    recipe.write_text("#!/bin/sh\nseq 1 12 >&2\necho 'E: no such package' >&2\nexit 100\n")
    recipe.chmod(0o755)
    monkeypatch.setattr(images_module, "RECIPE", recipe)
    with pytest.raises(ComputeRefused, match="could not be built") as caught:
        images.make(ImageOrder("debian", ImageSource.BUILD, "debian-12"), UNCONCERNED)
    first, *last = str(caught.value).splitlines()
    assert last == ["4", "5", "6", "7", "8", "9", "10", "11", "12", "E: no such package"]
    log = tmp_path / "images" / ".failed-debian-12.log"
    assert str(log) in first
    assert log.read_text().splitlines() == [*map(str, range(1, 13)), "E: no such package"]
    assert images.names() == ()
    with speaking("de"):
        assert said(str(caught.value)).splitlines()[0].startswith("Das Image konnte nicht gebaut werden. Alle Fehler")
        assert said(str(caught.value)).splitlines()[1:] == last


def test_an_image_that_machines_are_based_on_stays(images, order, tmp_path):
    for name in ("mine", "used"):
        images.make(replace(order, name=name), UNCONCERNED)
    assert images.remove("used") is False
    assert images.remove("mine") is True
    assert images.remove("mine") is True, "what is gone is gone"
    assert images.names() == ("used",)


def test_a_recipe_that_there_is_not(images, order):
    with pytest.raises(ComputeRefused, match="no recipe"):
        images.make(replace(order, source=ImageSource.BUILD, reference="../../etc"), UNCONCERNED)
