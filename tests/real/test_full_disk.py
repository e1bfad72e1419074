"""A data folder on a real small file system that becomes full: it is said, nothing is lost, and it goes on alone."""

import http.client
import os
import re
import signal
import sqlite3
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlencode

import pytest
from sqlalchemy import select

from tests.browser.product import PASSWORD, Product, wait_until
from tests.page import Page
from zentry_web.domain.vms.state import VMState
from zentry_web.models import DbVM

pytestmark = [pytest.mark.real, pytest.mark.timeout(500)]

MEBIBYTES = 40
FULL = "disk is full"
PATIENCE = 120


@pytest.fixture
def product(tmp_path):
    data = tmp_path / "zentry" / "data"
    data.mkdir(parents=True)
    options = f"size={MEBIBYTES}m,mode=0711"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "small", data], check=True, timeout=60)
    try:
        found = Product(data.parent)
        try:
            yield found.start()
        finally:
            found.stop()
    finally:
        subprocess.run(["umount", data], check=True, timeout=60)


class Visitor:
    """A browser without script: keeps cookies, fills the forms of pages."""

    def __init__(self, product):
        self.product = product
        self.cookies = {}

    def ask(self, method, path, body=None, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.product.port, timeout=60)
        cookie = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        connection.request(method, path, body, {"Cookie": cookie} | headers)
        answer = connection.getresponse()
        for line in answer.headers.get_all("Set-Cookie", []):
            name, value = line.split(";")[0].split("=", 1)
            self.cookies[name] = value
        text = answer.read().decode()
        connection.close()
        return answer.status, text

    def page(self, path):
        status, text = self.ask("GET", path)
        assert status == 200, (path, text[:2000])
        return text

    def send(self, path, values, form_at=""):
        """Post what a page's form would; ``form_at`` is the page it stands on."""
        token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', self.page(form_at or path))[1]
        body = urlencode(values | {"csrf_token": token})
        return self.ask("POST", path, body, **{"Content-Type": "application/x-www-form-urlencoded"})

    def log_in(self, email):
        return self.send("/login", {"email": email, "password": PASSWORD})


def fill(product):
    """Leave no byte on the file system, nor room in the journals of the databases."""
    for name in ("zentry.sqlite", "metrics.sqlite"):
        connection = sqlite3.connect(product.data / name, timeout=30)
        wait_until(
            lambda one=connection: one.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0, 60, "a checkpoint"
        )
        connection.close()
    top_up(product)


def top_up(product):
    with (product.data / "filler").open("ab", buffering=0) as filler:
        for size in (1 << 20, 4096, 1):
            try:
                while filler.write(b"\0" * size) == size:
                    pass
            except OSError:
                continue


def empty(product):
    (product.data / "filler").unlink()


def launch(visitor, project, name):
    page = Page(visitor.page("/vms/new"))
    values = {field.get("name"): field.get("value") or "" for field in page.find("//main//input[@type='hidden']")}
    values |= {field.get("name"): field.get("value") for field in page.find("//main//input[@type='radio'][@checked]")}
    values |= {"project_id": project.id, "name": name, "ssh_key": "", "user_data": ""}
    values.pop("csrf_token")
    return visitor.send("/vms/new", values)


def states(product):
    with product.container.database.reading() as session:
        return {name: VMState(state) for name, state in session.execute(select(DbVM.name, DbVM.state))}


def vm_page(product):
    """The address of the only machine."""
    with product.container.database.reading() as session:
        return f"/vms/{session.scalars(select(DbVM.id)).one()}"


def refused(answer):
    status, text = answer
    return status == 503 and FULL in Page(text).text()


def test_a_full_disk_is_told_loses_nothing_and_is_got_over(product):
    alice = product.make_user("Alice", "alice@example.com")
    product.make_admin("admin@example.com")
    project = product.container.get_project_service().create_project({"name": "Website"}, alice)
    visitor, admin = Visitor(product), Visitor(product)
    assert visitor.log_in("alice@example.com")[0] == 303
    assert admin.log_in("admin@example.com")[0] == 303
    assert launch(visitor, project, "first")[0] == 303
    wait_until(lambda: states(product) == {"first": VMState.RUNNING}, PATIENCE, "the first machine to run")
    before, page = product.worker_pid(), vm_page(product)

    fill(product)
    answers = {
        "log in": lambda: Visitor(product).log_in("alice@example.com"),
        "launch": lambda: launch(visitor, project, "second"),
        "stop": lambda: visitor.send(f"{page}/stop", {}, form_at=page),
    }
    for what, answer in answers.items():
        wait_until(lambda ask=answer: top_up(product) or refused(ask()), PATIENCE, f"{what} is refused: disk full")
    for path in ("/healthz", "/", "/overview", "/vms", page, "/credits"):
        visitor.page(path)
    for path in ("/admin", "/admin/system"):
        assert "MiB are free on the disk" in Page(admin.page(path)).text()
    wait_until(lambda: product.ready()[0] == 503, PATIENCE, "/readyz says that the worker cannot do its work")
    assert states(product)["first"] == VMState.RUNNING
    assert "storage_unavailable" in product.log()

    empty(product)
    wait_until(product.is_ready, PATIENCE, "Zentry goes on by itself")
    assert product.worker_pid() == before
    assert Visitor(product).log_in("alice@example.com")[0] == 303
    assert launch(visitor, project, "third")[0] == 303
    assert visitor.send(f"{page}/stop", {}, form_at=page)[0] in (200, 303)
    wanted = {"first": VMState.STOPPED, "third": VMState.RUNNING}
    wait_until(lambda: wanted.items() <= states(product).items(), PATIENCE, "stop and launch are done")
    product.zentry("verify")


def web_pid(product):
    """The process that the supervisor runs as web server."""
    children = Path(f"/proc/{product._process.pid}/task/{product._process.pid}/children").read_text().split()
    commands = {int(child): Path(f"/proc/{child}/cmdline") for child in children}
    return next((pid for pid, file in commands.items() if file.exists() and b"gunicorn" in file.read_bytes()), None)


def test_its_web_starts_again_while_the_disk_is_full_and_all_of_it_once_there_is_room(product):
    product.make_user("Alice", "alice@example.com")
    fill(product)
    before = web_pid(product)
    os.kill(before, signal.SIGKILL)
    wait_until(lambda: web_pid(product) not in (before, None) and product.ready()[0], PATIENCE, "the web answers again")
    wait_until(
        lambda: top_up(product) or refused(Visitor(product).log_in("alice@example.com")),
        PATIENCE,
        "a log-in is refused",
    )
    product.stop()
    top_up(product)

    def make_room():
        wait_until(lambda: "waits for room" in product.log(), PATIENCE, "it says that it waits")
        empty(product)

    with ThreadPoolExecutor(1) as pool:
        made = pool.submit(make_room)
        product.run()
        made.result()
    assert Visitor(product).log_in("alice@example.com")[0] == 303
    product.zentry("verify")
