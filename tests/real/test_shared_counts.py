"""Two real web servers on one database: one count of attempts, and a restart of both forgets nothing."""

import subprocess
import sys
from contextlib import contextmanager

import pytest

from bench.client import Client
from tests.browser.product import PASSWORD, Product, free_port, wait_until
from tests.conftest import ROOT, sign_up
from zentry_web.domain.setting import SettingKey

pytestmark = [pytest.mark.real, pytest.mark.timeout(180)]


@contextmanager
def servers(product, ports):
    """`zentry web` on each port, until the block ends."""
    running = []
    try:
        for port in ports:
            environment = product.environment | {"PORT": str(port)}
            with (product.folder / f"web-{port}.log").open("ab") as log:
                command = [sys.executable, "-m", "zentry_web", "web"]
                running.append(subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log))
        for port in ports:
            wait_until(lambda port=port: answers(port), 60, f"the server on {port} answers")
        yield
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait(30)


def answers(port):
    client = Client(port)
    try:
        return client.get("/healthz").status == 200
    except OSError:
        return False
    finally:
        client.close()


def log_in(port, email, password):
    client = Client(port)
    client.get("/login")
    answer = client.post("/login", email=email, password=password)
    client.close()
    return answer


@pytest.mark.asvs("6.3.1")
def test_one_count_for_all_processes_that_a_restart_does_not_forget(tmp_path):
    product, ports = Product(tmp_path), (free_port(), free_port())
    product.zentry("migrate")
    alice, bob = (sign_up(product.container, name) for name in ("alice", "bob"))
    allowed = 3
    # That many at once already wait a quarter of an hour, so that it does not matter how long a restart takes.
    product.container.get_billing_service().settings.change(SettingKey.LOGIN_TRIES, allowed, 0)
    with servers(product, ports):
        statuses = [log_in(ports[number % 2], alice.email, "wrong").status for number in range(allowed)]
        assert 429 not in statuses
        for port in ports:
            refused = log_in(port, alice.email, PASSWORD)
            assert refused.status == 429
            assert "Please try again in" in refused.body
    with servers(product, ports):
        for port in ports:
            assert log_in(port, alice.email, PASSWORD).status == 429, "a restart lets nobody guess on"
            assert log_in(port, bob.email, PASSWORD).status == 303, "others are not slowed down"
    product.stop()
