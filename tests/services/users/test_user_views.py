"""Viewing as, below the pages: whoever only looks can write nothing, whatever is called."""

from dataclasses import replace

import pytest

from tests.conftest import PASSWORD
from tests.services.people import acting, events_of, launch, visitor
from zentry_web.services.base_service import only_look
from zentry_web.services.errors import (
    AuthenticationRequiredError,
    PermissionDeniedError,
    ProofRequiredError,
    ValidationError,
)

pytestmark = pytest.mark.integration


@pytest.fixture
def views(container):
    return container.get_user_service().views


@pytest.fixture
def session(container, admin):
    """The admin's session."""
    return (
        container.get_auth_service().login({"email": admin.email, "password": PASSWORD}, actor=visitor()).session_token
    )


@pytest.fixture
def lab(container, alice):
    return container.get_project_service().create_project({"name": "Lab"}, alice, actor=acting(alice))


def test_nothing_is_done_as_somebody_who_is_looked_at(container, core, lab, alice, admin):
    """The Actor alone is enough: every write records who did it."""
    vm = launch(container, alice, lab, "web")
    seen = replace(acting(alice), viewer_id=admin.id)
    vms, projects, auth = container.get_vm_service(), container.get_project_service(), container.get_auth_service()
    for attempt in (
        lambda: vms.stop_vm(vm.id, actor=seen),
        lambda: vms.delete_vm(vm.id, "web", actor=seen),
        lambda: projects.rename_project(lab.id, "Other", actor=seen),
        lambda: projects.create_project({"name": "More"}, alice, actor=seen),
        lambda: auth.update_profile(alice.id, {"name": "Mallory"}, actor=seen),
        lambda: container.get_user_service().closure.request(alice.id, PASSWORD, actor=seen),
    ):
        with pytest.raises(PermissionDeniedError, match="only looking"):
            attempt()
    assert vms.get_vm(vm.id, actor=seen).name == "web"
    assert not events_of(core, "vm.stop")


def test_no_transaction_begins_while_somebody_looks(container, lab, alice):
    only_look(True)
    try:
        with pytest.raises(PermissionDeniedError):
            container.get_billing_service().notices.mark_read(alice.id, actor=acting(alice))
        assert container.get_user_service().get_dashboard(alice.id, actor=acting(alice)).projects_count == 1
    finally:
        only_look(False)
    container.get_billing_service().notices.mark_read(alice.id, actor=acting(alice))


def test_one_view_at_a_time_in_a_session(views, core, session, alice, bob, admin):
    first = views.begin(alice.id, "Why", session, actor=acting(admin))
    second = views.begin(bob.id, "Why", session, actor=acting(admin))
    assert views.find(first.id, session, admin.id) is None
    assert views.find(second.id, session, admin.id).user == bob
    assert views.find(second.id, "other", admin.id) is None
    assert views.find(second.id, session, alice.id) is None
    assert [event.details["why"] for event in events_of(core, "user.view_end")] == ["another"]


def test_the_worker_ends_what_nobody_left(views, core, clock, session, alice, admin):
    view = views.begin(alice.id, "Why", session, actor=acting(admin))
    assert views.expire() == 0
    clock.advance(minutes=30)
    assert views.find(view.id, session, admin.id) is None
    assert (views.expire(), views.expire()) == (1, 0)
    (end,) = events_of(core, "user.view_end")
    assert (end.actor_id, end.owner_id) == (admin.id, alice.id)


@pytest.mark.error
def test_who_may_not_begin(views, core, session, alice, bob, admin):
    for error, attempt in (
        (PermissionDeniedError, lambda: views.begin(bob.id, "Why", session, actor=acting(alice))),
        (ProofRequiredError, lambda: views.begin(bob.id, "Why", session, actor=acting(admin, proved_at=None))),
        (ValidationError, lambda: views.begin(bob.id, "x" * 301, session, actor=acting(admin))),
        (ValidationError, lambda: views.begin(bob.id, "a\x00", session, actor=acting(admin))),
        (AuthenticationRequiredError, lambda: views.begin(bob.id, "Why", "no session", actor=acting(admin))),
        (
            PermissionDeniedError,
            lambda: views.begin(bob.id, "Why", session, actor=replace(acting(bob), viewer_id=admin.id)),
        ),
    ):
        with pytest.raises(error):
            attempt()
    assert events_of(core, "user.view_begin") == []
