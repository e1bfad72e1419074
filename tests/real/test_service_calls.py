"""Calls between real processes on loopback: `zentry worker` and `zentry web`, with and without service tokens."""

import json
import subprocess
import sys
import urllib.error
import urllib.request

import pytest

from tests.browser.product import Product, free_port, wait_until
from tests.conftest import ROOT

pytestmark = [pytest.mark.real, pytest.mark.timeout(180)]


def call(url, token=None, body=None):
    """Status and text of an answer; (0, "") when nobody listens."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, headers | ({"Content-Type": "application/json"} if data else {}))
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return 0, ""


@pytest.fixture(scope="module")
def product(tmp_path_factory):
    """A whole Zentry whose worker has a door."""
    made = Product(tmp_path_factory.mktemp("calls"), worker_port=free_port(), simulator_boot_seconds=0.2)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def door(product):
    return f"http://127.0.0.1:{product.config.worker_port}"


@pytest.fixture
def token(product):
    return lambda *words: product.zentry("service-token", *words).strip()


@pytest.mark.asvs("13.2.1")
def test_the_worker_answers_bearers_of_its_tokens(product, door, token):
    mine = token("worker")
    assert call(f"{door}/healthz", mine) == (200, '{"status": "alive"}')
    assert wait_until(lambda: call(f"{door}/readyz", mine)[0] == 200, 30, "every loop goes round")
    status, text = call(f"{door}/metrics", mine)
    assert status == 200
    assert "zentry_worker_rounds_total" in text
    assert call(f"{door}/else", mine)[0] == 404
    assert "ready" in product.zentry("worker-ready")


@pytest.mark.asvs("13.2.1")
def test_others_learn_nothing_from_the_worker(product, door, token):
    mine = token("worker")
    head, body, signature = mine.split(".")
    for bad in (None, "x", token("web"), token("web", "--caller", "agent"), f"{head}.{body}.{signature[::-1]}"):
        seen = {call(f"{door}{path}", bad) for path in ("/healthz", "/readyz", "/metrics", "/else")}
        assert len(seen) == 1, "every path looks the same"
        assert next(iter(seen))[0] == 401
    metrics_of_web = f"{product.url}/metrics"
    assert call(metrics_of_web)[0] == call(metrics_of_web, mine)[0] == 404, "loopback is no reason to trust"


def test_the_web_takes_samples_with_a_token_only(product, token):
    url, body = f"{product.url}/internal/v1/metrics", {"samples": [{"vm_id": "vm_none"}]}
    assert call(url, body=body)[0] == 401
    assert call(url, token("worker"), body)[0] == 401
    status, text = call(url, token("web", "--caller", "agent"), body)
    assert (status, json.loads(text)["details"]) == (400, {"vm.vm_none": "There is no such machine."})


def test_a_worker_without_a_port_says_so(product):
    environment = product.environment | {"ZENTRY_WORKER_PORT": "0"}
    command = [sys.executable, "-m", "zentry_web", "worker-ready"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "ZENTRY_WORKER_PORT" in done.stderr
