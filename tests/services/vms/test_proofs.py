"""Backups proved on the simulator: one at a time, beside the machine, paid by nobody; killed, failed at each step."""

import pytest

from tests.services.people import acting, join
from tests.services.vm_world import Killed
from zentry_web.adapters.compute.base import ComputeTimeout, ComputeUnavailable
from zentry_web.domain.target import Place, Target
from zentry_web.domain.vms.proof import PROOF_SECONDS, ProofOutcome
from zentry_web.services.errors import ConflictError, NotFoundError, PermissionDeniedError
from zentry_web.worker.proofs import ProofKeeper

pytestmark = pytest.mark.integration


@pytest.fixture
def ask(cloud, alice):
    return lambda backup: cloud.vms.proofs.request(backup.vm_id, backup.id, actor=acting(alice))


def go_round(cloud, seconds=3, checkpoint=lambda name: None):
    """The time until the next round of the loop, and that round; why the host did nothing in it, if so."""
    cloud.clock.advance(seconds)
    try:
        ProofKeeper(cloud.vms, cloud.driver, checkpoint).run()
    except (ComputeUnavailable, ComputeTimeout) as error:
        return str(error)
    return ""


def rounds(cloud, count, checkpoint):
    for _ in range(count):
        go_round(cloud, checkpoint=checkpoint)


def notices(cloud, user):
    """What they were told of failures."""
    every = cloud.billing.notices.list_notices(user.id)
    return [each for each in every if each.kind == "failed"]


def seen(cloud, alice, backup):
    return cloud.vms.backups.get(backup.vm_id, backup.id, actor=acting(alice))


def test_it_boots_beside_its_machine_and_nothing_of_it_is_left(cloud, alice, vm, backup, ask):
    run, spans = cloud.row(vm).run_id, len(cloud.run_seconds(vm))
    ask(backup)
    assert seen(cloud, alice, backup).is_being_proved
    go_round(cloud)
    assert cloud.driver.proofs.stored() == (backup.id,)
    assert [machine.vm_id for machine in cloud.driver.machines()] == [vm.id]
    cloud.round(1)
    assert cloud.vms.strays.list_strays() == []
    go_round(cloud)
    found = seen(cloud, alice, backup)
    assert (found.is_being_proved, found.proof.outcome) == (False, ProofOutcome.BOOTED)
    assert found.proof.seconds >= 3
    assert f"ZENTRY-READY {vm.id}" in found.proof.console
    assert found.proof.words.startswith("It booted in")
    assert cloud.driver.proofs.stored() == ()
    assert (cloud.row(vm).run_id, len(cloud.run_seconds(vm))) == (run, spans)
    cloud.assert_sound()


def test_one_at_a_time_in_the_order_they_were_asked_for(cloud, alice, vm, backup, ask):
    second = cloud.back_up(alice, vm, "second")
    ask(second)
    cloud.clock.advance(1)
    ask(backup)
    stored = []
    for _ in range(6):
        go_round(cloud)
        stored.append(cloud.driver.proofs.stored())
    assert max(map(len, stored)) == 1
    assert [each for each in dict.fromkeys(stored) if each] == [(second.id,), (backup.id,)]
    assert {seen(cloud, alice, each).proof.outcome for each in (second, backup)} == {ProofOutcome.BOOTED}


@pytest.mark.parametrize(
    ("fault", "outcome", "words"),
    [
        ("silent", ProofOutcome.SPOKE, f"within {PROOF_SECONDS} s no log-in prompt"),
        ("broken", ProofOutcome.BROKEN, "could not use its disk"),
        ("refused", ProofOutcome.REFUSED, "It could not be tried: The host refused this"),
    ],
)
def test_what_does_not_boot_is_said_in_words(cloud, alice, vm, backup, ask, fault, outcome, words):
    if fault == "silent":
        cloud.control.delay("proof", 10_000, vm.id)
    else:
        cloud.control.fault("prove", "ignore" if fault == "broken" else "refuse", vm.id)
    ask(backup)
    go_round(cloud)
    go_round(cloud)
    if fault == "silent":
        assert seen(cloud, alice, backup).is_being_proved
        go_round(cloud, PROOF_SECONDS - 3)
    found = seen(cloud, alice, backup).proof
    assert found.outcome == outcome
    assert words in found.words
    assert bool(found.console) == (fault != "refused")
    assert cloud.driver.proofs.stored() == ()
    assert cloud.driver.backups.stored() == (backup.id,)
    (told,) = notices(cloud, alice)
    assert told.title == f"The backup “{backup.name}” of {vm.name} was not proved to boot"
    assert told.body.startswith(found.words)
    assert told.target == Target(Place.BACKUPS, vm.id)
    ask(backup)  # again
    for _ in range(3):
        go_round(cloud)
    assert seen(cloud, alice, backup).proof.outcome == ProofOutcome.BOOTED
    assert notices(cloud, alice) == [told], "nobody is told of one that booted"
    cloud.assert_sound()


def test_each_proof_that_fails_is_told_to_the_owner_in_their_language(cloud, alice, bob, vm, backup):
    join(cloud.container, cloud.container.get_project_service().get_project(vm.project_id), bob, "admin")
    cloud.container.get_auth_service().update_profile(alice.id, {"language": "de"}, actor=acting(alice))
    for _ in range(2):
        cloud.control.fault("prove", "ignore", vm.id)
        cloud.vms.proofs.request(vm.id, backup.id, actor=acting(bob))
        go_round(cloud)
        go_round(cloud)
        cloud.clock.advance(60)
    assert [each.title.split(":")[0] for each in notices(cloud, alice)] == [
        f"Das Backup „{backup.name}“ von {vm.name}"
    ] * 2
    assert notices(cloud, bob) == []


def test_one_that_was_called_off_is_no_failure(cloud, alice, backup, ask):
    ask(backup)
    go_round(cloud)
    cloud.vms.proofs.abort(backup.vm_id, backup.id, actor=acting(alice))
    go_round(cloud)
    assert notices(cloud, alice) == []


@pytest.mark.parametrize("step", ["proof.begun", "proof.seen", "proof.recorded"])
def test_killed_anywhere_the_next_worker_ends_it(cloud, alice, backup, ask, step):
    def kill(reached):
        if reached == step:
            raise Killed

    ask(backup)
    with pytest.raises(Killed):
        rounds(cloud, 4, kill)
    assert cloud.driver.proofs.stored() == (backup.id,)
    for _ in range(3):
        go_round(cloud)
    found = seen(cloud, alice, backup)
    assert (found.is_being_proved, found.proof.outcome) == (False, ProofOutcome.BOOTED)
    assert cloud.driver.proofs.stored() == ()
    cloud.assert_sound()


def test_a_host_that_does_not_answer_is_asked_again(cloud, alice, vm, backup, ask):
    cloud.control.fault("prove", "unavailable", vm.id)
    ask(backup)
    assert "does not answer" in go_round(cloud)
    assert seen(cloud, alice, backup).is_being_proved
    go_round(cloud)
    cloud.control.fault("prove_look", "timeout", vm.id)
    assert go_round(cloud)
    go_round(cloud)
    assert seen(cloud, alice, backup).proof.outcome == ProofOutcome.BOOTED


def test_what_cannot_be_ended_now_is_ended_later(cloud, backup, ask):
    ask(backup)
    go_round(cloud)
    end = cloud.driver.proofs.end

    def fail(backup_id):
        raise ComputeUnavailable("The host does not answer.")

    cloud.driver.proofs.end = fail
    assert "does not answer" in go_round(cloud)
    assert cloud.driver.proofs.stored() == (backup.id,)
    cloud.driver.proofs.end = end
    assert go_round(cloud) == ""
    assert cloud.driver.proofs.stored() == ()


@pytest.mark.parametrize("when", ["waits", "runs"])
def test_aborted_it_is_gone(cloud, alice, vm, backup, ask, when):
    ask(backup)
    if when == "runs":
        go_round(cloud)
    cloud.vms.proofs.abort(vm.id, backup.id, actor=acting(alice))
    cloud.vms.proofs.abort(vm.id, backup.id, actor=acting(alice))
    go_round(cloud)
    found = seen(cloud, alice, backup)
    assert (found.is_being_proved, found.proof.outcome) == (False, ProofOutcome.ABORTED)
    assert cloud.driver.proofs.stored() == ()


@pytest.mark.parametrize("how", ["backup", "machine"])
def test_deleted_meanwhile_it_ends(cloud, alice, vm, backup, ask, how):
    ask(backup)
    go_round(cloud)
    if how == "backup":
        cloud.vms.backups.delete(vm.id, backup.id, actor=acting(alice))
    else:
        cloud.vms.delete_vm(vm.id, vm.name, actor=acting(alice))
        cloud.worker.work()
    go_round(cloud)
    assert cloud.driver.proofs.stored() == ()
    assert cloud.vms.proofs.find_wanted() is None
    cloud.assert_sound()


def test_who_may_and_what_cannot_be(cloud, alice, bob, vm, project, backup, ask):
    with pytest.raises(NotFoundError):
        cloud.vms.proofs.request(vm.id, backup.id, actor=acting(bob))
    join(cloud.container, project, bob, "viewer")
    for call in (cloud.vms.proofs.request, cloud.vms.proofs.abort):
        with pytest.raises(PermissionDeniedError):
            call(vm.id, backup.id, actor=acting(bob))
        with pytest.raises(NotFoundError):
            call(vm.id, "bak_none", actor=acting(alice))
    ask(backup)
    with pytest.raises(ConflictError, match="being proved already"):
        ask(backup)
    cloud.vms.backups.take(vm.id, {"name": "half", "note": ""}, actor=acting(alice))
    half = cloud.vms.backups.list(vm.id, actor=acting(alice))[0]
    with pytest.raises(ConflictError, match="not ready"):
        ask(half)
