"""A loop that found nothing to do rests for longer, and is woken when there is something."""

import pytest
from sqlalchemy import update

from tests.services.people import acting
from zentry_web.models import DbVM
from zentry_web.worker import sampling
from zentry_web.worker.copies import CopyKeeper
from zentry_web.worker.images import CALM_SECONDS, ImageMaker

pytestmark = pytest.mark.integration


@pytest.fixture
def worker(cloud):
    return cloud._biller


def go_round(worker, name):
    (round_once,) = [round_once for job, round_once, _ in worker.loops() if job == name]
    return round_once()


@pytest.fixture
def rings(cloud, monkeypatch):
    """How often the bell rang."""
    heard = []
    monkeypatch.setattr(type(cloud.container.parts.core.bell), "ring", lambda _: heard.append(1))
    return heard


@pytest.mark.parametrize("name", ["images", "proofs", "copies"])
def test_without_work_the_next_round_is_early_enough_later(worker, vm, name):
    assert go_round(worker, name) >= CALM_SECONDS


def answered(cloud, at):
    with cloud.container.database.writing() as session:
        session.execute(update(DbVM).values(answered_at=at))
        session.commit()


def test_consoles_are_read_a_turn_at_once_while_none_comes_up(cloud, worker, monkeypatch, alice, project, vm):
    monkeypatch.setattr(sampling, "LEAST_PER_ROUND", 1)
    cloud.launch(alice, project, "another")
    answered(cloud, None)
    assert go_round(worker, "console") is None
    answered(cloud, cloud.clock.now())
    assert go_round(worker, "console") == sampling.CALM_SECONDS
    monkeypatch.setattr(sampling, "LEAST_PER_ROUND", 2)  # they are a round anyway
    assert go_round(worker, "console") is None


def test_an_image_that_is_ordered_rings_and_is_made_at_the_pace(cloud, worker, admin, rings, monkeypatch):
    monkeypatch.setattr(ImageMaker, "make", lambda *_: None)
    cloud.vms.images.build("debian-12", actor=acting(admin))
    assert rings
    assert go_round(worker, "images") is None
    worker._image_maker.join()


def test_a_proof_that_is_asked_for_or_called_off_rings(cloud, worker, alice, vm, backup, rings):
    cloud.vms.proofs.request(vm.id, backup.id, actor=acting(alice))
    assert rings == [1]
    assert go_round(worker, "proofs") is None
    cloud.vms.proofs.abort(vm.id, backup.id, actor=acting(alice))
    assert rings == [1, 1]


@pytest.mark.parametrize(("told", "rest"), [(30.0, 30.0), (None, 2.0)])
def test_a_loop_rests_as_long_as_its_round_says(worker, monkeypatch, told, rest):
    rests = []

    def note(job, seconds):
        rests.append((job, seconds))
        worker.stop.set()

    monkeypatch.setattr(worker, "_rest", note)
    worker._loop("images", lambda: told, 2.0)
    ((job, seconds),) = rests
    assert (job, seconds > rest / 2) == ("images", True)
    assert seconds <= rest


def test_one_that_rests_wakes_by_the_bell(worker):
    worker._hear()
    for job in ("console", "mail", "images", "proofs", "copies"):
        worker._rest(job, 3600)  # ends at once


def test_copies_that_cannot_be_listed_hold_up_no_images(cloud, worker, monkeypatch):
    tidied = []

    def fail():
        raise OSError("unreadable")

    monkeypatch.setattr(cloud.driver.copies, "stored", fail)
    monkeypatch.setattr(cloud.vms.machine_image_records, "tidy", lambda: tidied.append(1))
    worker._round("copies", CopyKeeper(cloud.vms, cloud.driver).run, 5)
    assert tidied == [1]
