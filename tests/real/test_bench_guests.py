"""The figures of ``make bench`` that need real guests still run: with tiny numbers."""

import pytest

from tests.libvirt_fixture import image_dir, libvirt_uri
from tests.real.test_bench_smoke import GUESTS, smoke

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]


def test_every_figure_of_guests_is_measured_and_reported(tmp_path):
    found = {"ZENTRY_LIBVIRT_URI": libvirt_uri(tmp_path / "libvirtd-notes"), "ZENTRY_TEST_IMAGES": str(image_dir())}
    figures = smoke(tmp_path / "report.md", GUESTS, **found)
    assert [figure["name"] for figure in figures] == list(GUESTS)
