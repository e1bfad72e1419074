"""``zentry reset-factors``: the operator's way out when phone and codes are lost."""

import pytest
from click.testing import CliRunner

from tests.services.people import visitor
from tests.services.second_factors import give_password, set_up_app
from zentry_web.cli import main
from zentry_web.domain.people.factor import FactorNeeded

pytestmark = pytest.mark.integration


@pytest.fixture
def run(config, monkeypatch):
    """The command on this test's databases."""
    monkeypatch.setattr("zentry_web.cli.read_config", lambda: config)
    return lambda *words: CliRunner().invoke(main, ["reset-factors", *words])


def test_the_factors_of_one_address_are_removed(run, container, alice, bob, clock):
    auth = container.get_auth_service()
    for user in (alice, bob):
        set_up_app(auth, user, clock)
    done = run(alice.email)
    assert done.exit_code == 0, done.output
    assert "Removed 1 second factor." in done.output
    log_in = {"email": alice.email, "password": "correct horse battery"}
    assert not isinstance(auth.login(log_in, actor=visitor()), FactorNeeded)
    assert give_password(auth, bob)


@pytest.mark.error
def test_an_unknown_address_is_told(run, alice):
    done = run("nobody@example.com")
    assert (done.exit_code, "no account" in done.output) == (1, True)
    assert run("alice").exit_code == 1
