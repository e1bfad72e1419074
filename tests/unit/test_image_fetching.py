"""A file is fetched whole from a host that is allowed, or not at all, whatever its server does."""

import hashlib
import os
from dataclasses import replace

import pytest

from tests.image_server import LOOPBACK, image_server, make_certificate
from zentry_web.adapters.compute.base import ComputeRefused
from zentry_web.adapters.compute.images import ImageLimits
from zentry_web.adapters.compute.libvirt.disks.disks import digest
from zentry_web.adapters.compute.libvirt.images.fetching import fetch
from zentry_web.adapters.compute.watch import Stopped, Watch

pytestmark = pytest.mark.unit

CONTENT = os.urandom(3_000_000)
UNCONCERNED = Watch(lambda step: None, lambda done, total: None, lambda: True)


@pytest.fixture
def server(tmp_path):
    with image_server(tmp_path) as server:
        server.content = CONTENT
        yield server


@pytest.fixture
def limits(server):
    return ImageLimits(
        hosts=("localhost",), networks=LOOPBACK, ca_file=server.ca_file, most_bytes=10_000_000, stall_seconds=0.5,
        tries=2, pause_seconds=0,
    )  # fmt: skip


@pytest.fixture
def path(tmp_path):
    return tmp_path / "file"


def test_a_file_comes_whole_and_tells_how_far_it_is(server, limits, path):
    told = []
    fetch(server.url, path, limits, replace(UNCONCERNED, done=lambda done, total: told.append((done, total))))
    assert path.read_bytes() == CONTENT
    assert told[-1] == (len(CONTENT), len(CONTENT))
    assert digest(path, UNCONCERNED) == hashlib.sha256(CONTENT).hexdigest()


def test_a_broken_connection_is_gone_on_with(server, limits, path):
    server.cut = 1_000_000
    fetch(server.url, path, limits, UNCONCERNED)
    assert path.read_bytes() == CONTENT
    assert server.ranges == ["", "bytes=1000000-", "bytes=2000000-"]


def test_one_that_was_stopped_is_gone_on_with_later(server, limits, path):
    wanted = iter([True, False])
    with pytest.raises(Stopped):
        fetch(server.url, path, limits, replace(UNCONCERNED, wanted=lambda: next(wanted)))
    begun = path.stat().st_size
    assert 0 < begun < len(CONTENT)
    fetch(server.url, path, limits, UNCONCERNED)
    assert path.read_bytes() == CONTENT
    assert server.ranges[-1] == f"bytes={begun}-"


def test_a_server_that_cannot_go_on_in_the_middle_is_asked_for_all(server, limits, path):
    server.cut, server.cuts, server.ignores_range = 1_000_000, 1, True
    fetch(server.url, path, limits, UNCONCERNED)
    assert path.read_bytes() == CONTENT


def test_a_file_that_changes_meanwhile_is_refused(server, limits, path):
    server.cut, server.cuts = 1_000_000, 1

    def change(done, total):
        server.content, server.etag = os.urandom(3_000_000), '"two"'

    with pytest.raises(ComputeRefused, match="changed while it was being fetched"):
        fetch(server.url, path, limits, replace(UNCONCERNED, done=change))


def test_so_is_one_whose_length_changes_under_the_same_mark(server, limits, path):
    server.cut, server.cuts, server.ignores_condition = 1_000_000, 1, True

    def change(done, total):
        server.content = server.content[:2_500_000]

    with pytest.raises(ComputeRefused, match="another length"):
        fetch(server.url, path, limits, replace(UNCONCERNED, done=change))


def test_a_server_that_stalls(server, limits, path):
    server.stall = 500_000
    with pytest.raises(ComputeRefused, match="stopped sending"):
        fetch(server.url, path, replace(limits, tries=1), UNCONCERNED)


def test_a_server_that_says_it_has_more_than_it_has(server, limits, path):
    server.length = len(CONTENT) + 1000
    with pytest.raises(ComputeRefused, match="ended after 3000000 of 3001000 bytes"):
        fetch(server.url, path, limits, UNCONCERNED)


def test_a_file_that_is_too_large_is_not_begun(server, limits, path):
    with pytest.raises(ComputeRefused, match="larger than"):
        fetch(server.url, path, replace(limits, most_bytes=2_000_000), UNCONCERNED)
    assert not path.exists() or not path.stat().st_size


def test_one_that_takes_too_long(server, limits, path):
    with pytest.raises(ComputeRefused, match="took too long"):
        fetch(server.url, path, replace(limits, fetch_seconds=-1), UNCONCERNED)


@pytest.mark.parametrize(
    ("status", "reason"), [(404, "answers 404"), (403, "answers 403"), (503, "cannot be reached: it answers 503")]
)
def test_a_server_that_has_no_such_file(server, limits, path, status, reason):
    server.status = status
    with pytest.raises(ComputeRefused, match=reason):
        fetch(server.url, path, limits, UNCONCERNED)


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("https://evil.example/x", "evil.example is not among the hosts"),
        ("http://localhost/x", "only https"),
        ("file:///etc/passwd", "only https"),
        ("https://user@localhost/x", "only https"),
        ("https://127.0.0.1/x", "127.0.0.1 is not among"),
    ],
)
def test_a_redirect_to_elsewhere_is_not_followed(server, limits, path, target, reason):
    server.redirect = target
    with pytest.raises(ComputeRefused, match=reason):
        fetch(server.url, path, limits, UNCONCERNED)
    assert not path.exists()


def test_a_redirect_in_a_circle_ends(server, limits, path):
    server.redirect = server.url
    with pytest.raises(ComputeRefused, match="without end"):
        fetch(server.url, path, limits, UNCONCERNED)


@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "10.0.0.1", "169.254.169.254"]
)
def test_a_private_address_is_not_asked(limits, path, host):
    open_to_all = replace(limits, hosts=(host.strip("[]"),), networks=())
    with pytest.raises(ComputeRefused, match="private address"):
        fetch(f"https://{host}:1/x", path, open_to_all, UNCONCERNED)


def test_a_redirect_from_an_allowed_host_to_a_private_address(server, limits, path):
    server.redirect = "https://169.254.169.254/latest/meta-data"
    with pytest.raises(ComputeRefused, match="private address"):
        fetch(server.url, path, replace(limits, hosts=("localhost", "169.254.169.254")), UNCONCERNED)


def test_a_certificate_of_somebody_else(server, limits, path, tmp_path):
    (tmp_path / "other").mkdir()
    other, _key = make_certificate(tmp_path / "other")
    with pytest.raises(ComputeRefused, match="certificate is not good"):
        fetch(server.url, path, replace(limits, ca_file=other), UNCONCERNED)


def test_which_hosts_are_meant():
    limits = ImageLimits(hosts=("cloud.example.org", ".mirrors.example"))
    assert limits.allows("cloud.example.org")
    assert limits.allows("de.mirrors.example")
    assert not limits.allows("mirrors.example")
    assert not limits.allows("evilmirrors.example")
    assert not limits.allows("cloud.example.org.evil")
