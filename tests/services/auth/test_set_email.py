"""``zentry set-email``: the operator's way out when the old mailbox is lost."""

import pytest
from click.testing import CliRunner

from tests.conftest import PASSWORD
from tests.services.people import events_of, session_user, visitor
from zentry_web.cli import main
from zentry_web.domain.user import SYSTEM
from zentry_web.services.errors import AuthenticationRequiredError

pytestmark = pytest.mark.integration
NEW = "alice.new@example.org"


@pytest.fixture
def run(config, monkeypatch):
    """The command on this test's databases."""
    monkeypatch.setattr("zentry_web.cli.read_config", lambda: config)
    return lambda *words: CliRunner().invoke(main, ["set-email", *words])


def test_the_account_has_the_new_address_and_no_session_is_left(run, container, core, alice, bob):
    auth = container.get_auth_service()
    token = auth.login({"email": alice.email, "password": PASSWORD}, actor=visitor()).session_token
    other = auth.login({"email": bob.email, "password": PASSWORD}, actor=visitor()).session_token
    done = run("Alice@Example.com", NEW)  # as people write it
    assert done.exit_code == 0, done.output
    assert NEW in done.output
    assert session_user(auth, token) is None
    assert session_user(auth, other) is not None
    with pytest.raises(AuthenticationRequiredError):
        auth.login({"email": alice.email, "password": PASSWORD}, actor=visitor())
    signed_in = auth.login({"email": NEW, "password": PASSWORD}, actor=visitor())
    assert signed_in.user.id == alice.id
    (event,) = events_of(core, "auth.email_change")
    assert (event.actor_id, event.resource_id) == (alice.id, alice.id)
    told = container.get_billing_service().notices.list_notices(alice.id)
    assert "Your e-mail address was changed" in [notice.title for notice in told]


@pytest.mark.error
@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("nobody@example.com", NEW, "There is no account with this address."),
        ("alice", NEW, "There is no account with this address."),
        ("alice@example.com", "bob@example.com", "There is an account with this e-mail address already."),
        ("alice@example.com", "not an address", "valid e-mail address"),
    ],
)
def test_what_cannot_be_is_refused_in_words_and_nothing_changes(run, container, alice, bob, old, new, words):
    done = run(old, new)
    assert done.exit_code == 1
    assert words in done.output
    assert "Traceback" not in done.output
    assert container.get_user_service().get_user(alice.id).email == alice.email


def test_one_among_many_that_look_alike_is_found(run, container, alice):
    """The address is looked up as a whole: it may be a part of very many others."""
    auth = container.get_auth_service()
    for number in range(60):
        auth.signup({"email": f"{number}.alice@example.com", "name": "Double", "password": PASSWORD})
    assert run(alice.email, NEW).exit_code == 0
    assert container.get_user_service().find_by_email(NEW, actor=SYSTEM).id == alice.id
