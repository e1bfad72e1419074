"""`zentry up` where something else listens on the port, and on IPv6."""

import socket
import subprocess
import sys

import pytest

from tests.browser.product import Product, wait_until
from tests.conftest import ROOT

pytestmark = [pytest.mark.real, pytest.mark.timeout(180)]


@pytest.mark.parametrize("command", ["up", "web"])
def test_a_port_that_is_taken_is_said_and_ends_it(tmp_path, command):
    product = Product(tmp_path)
    product.folder.mkdir(exist_ok=True)
    with socket.socket() as other:
        other.bind(("127.0.0.1", product.port))
        other.listen(1)
        done = subprocess.run(
            [sys.executable, "-m", "zentry_web", command],
            cwd=ROOT, env=product.environment, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
    assert done.returncode == 1
    assert f"cannot listen on 127.0.0.1:{product.port}" in done.stderr
    assert "Traceback" not in done.stderr
    assert "Zentry runs at" not in done.stdout


def test_it_runs_on_ipv6(tmp_path):
    product = Product(tmp_path, host="[::1]", bind="::")
    product.start()
    try:
        wait_until(lambda: f"Zentry runs at http://[::1]:{product.port}" in product.log(), 60, "it says where it runs")
        assert f"http://[::1]:{product.port}/welcome/" in product.log()
    finally:
        product.stop()
