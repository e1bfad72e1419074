"""A disk that is nearly full, or full: admins are warned before, and a form keeps what was typed."""

import sqlite3
from datetime import timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from zentry_web.adapters.compute.host import GIB, MIB
from zentry_web.domain.projects.quota import format_memory
from zentry_web.models import DbNotice
from zentry_web.services import monitoring_service
from zentry_web.services.monitoring_service import least_free
from zentry_web.services.project_service import ProjectService

pytestmark = pytest.mark.integration

PAGES = ("/admin", "/admin/system")


@pytest.fixture
def disk(monkeypatch):
    """Says how large the disk is and what is free of it."""
    return lambda size, free: monkeypatch.setattr(monitoring_service, "disk_bytes", lambda _folder: (size, free))


@pytest.mark.parametrize("size", [10 * GIB, 100 * GIB, 1000 * GIB])
def test_admins_see_it_before_the_disk_is_full(as_admin, disk, size):
    disk(size, least_free(size))
    for path in PAGES:
        assert "free on the disk" not in as_admin.page(path).text()
    disk(size, least_free(size) - MIB)
    for path in PAGES:
        assert f"{format_memory(least_free(size) // MIB - 1)} are free on the disk" in as_admin.page(path).text()


def test_what_should_be_free_is_a_part_of_the_disk_within_bounds():
    assert [least_free(size * GIB) // GIB for size in (0, 4, 100, 1000)] == [0, 1, 5, 10]


def test_the_worker_tells_admins_once_a_day(cloud, container, admin, alice, disk, clock):
    disk(100 * GIB, 4 * GIB)
    for _ in range(2):
        cloud._biller._tell_disk()
    clock.advance(timedelta(days=1).total_seconds())
    cloud._biller._tell_disk()
    with container.database.reading() as session:
        told = session.scalars(select(DbNotice).where(DbNotice.kind == "disk_full")).all()
    assert [row.user_id for row in told] == [admin.id] * 2
    assert alice.id != admin.id


def full(*_, **__):
    error = sqlite3.OperationalError("database or disk is full")
    error.sqlite_errorcode = sqlite3.SQLITE_FULL
    raise OperationalError("INSERT", {}, error)


@pytest.mark.parametrize("htmx", [False, True])
def test_a_form_that_cannot_be_saved_keeps_what_was_typed_and_says_why(as_alice, monkeypatch, htmx):
    monkeypatch.setattr(ProjectService, "create_project", full)
    answer = as_alice.post("/projects/new", {"name": "Typed for nothing"}, htmx=htmx)
    assert answer.status_code == 503
    assert "disk is full" in answer.text
    assert 'value="Typed for nothing"' in answer.text
    assert answer.headers["Retry-After"] == "30"
