"""How many SQL statements a page takes, counted inside the process on both databases."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flask.testing import FlaskClient
from sqlalchemy import Engine, event

from bench.figures import Figure
from bench.sizes import Sizes
from bench.stage import EMAIL, seeded, take_samples
from zentry_web.app import make_app
from zentry_web.composition import build_container
from zentry_web.config import Config

GOAL = 8
FEW = 10
PATHS = {"overview_queries": "/overview", "vm_list_queries": "/vms", "vm_page_queries": "/vms/{vm}"}
NAMES = tuple(PATHS)
_TOKEN = re.compile(r'name="csrf_token"[^>]*value="([^"]+)"')
_ROW = re.compile(r'<tr id="row-(vm_\w+)"')
_NOT_COUNTED = ("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE")


def measure(folder: Path, sizes: Sizes) -> Iterator[Figure]:
    """Statements per page with many machines; the baseline is the same page with ten."""
    few, many = (_count(*seeded(folder / f"queries-{number}", vms=number)) for number in (FEW, sizes.vms))
    for name in PATHS:
        yield Figure(name, many[name], "statements", GOAL, few[name], {"vms": sizes.vms, "baseline_vms": FEW})


def _count(config: Config, password: str) -> dict[str, int]:
    container = build_container(config)
    take_samples(config, container)  # without fresh figures the overview asks less
    client = make_app(config, container).test_client()
    log_in(client, EMAIL, password)
    vm, counts = first_vm(client.get("/vms").text), {}
    with counting(container.database.engine, container.metrics_database.engine) as statements:
        for name, path in PATHS.items():
            client.get(path.format(vm=vm))  # what a process does only once
            statements.clear()
            assert client.get(path.format(vm=vm)).status_code == 200
            counts[name] = len(statements)
    container.close()
    return counts


def first_vm(page: str) -> str:
    """The id of the first machine in a list."""
    found = _ROW.search(page)
    assert found is not None
    return found[1]


def log_in(client: FlaskClient, email: str, password: str) -> None:
    """Sign in; raises AssertionError when that fails."""
    token = _TOKEN.search(client.get("/login").text)
    assert token is not None
    answer = client.post("/login", data={"csrf_token": token[1], "email": email, "password": password})
    assert answer.status_code == 303, answer.status_code


@contextmanager
def counting(*engines: Engine) -> Iterator[list[str]]:
    """The statements that these engines execute meanwhile; beginning and ending transactions is not counted."""
    statements: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        if not statement.lstrip().upper().startswith(_NOT_COUNTED):
            statements.append(statement)

    for engine in engines:
        event.listen(engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        for engine in engines:
            event.remove(engine, "before_cursor_execute", note)
