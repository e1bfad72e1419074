"""People with a second factor, and the codes their app shows."""

import pyotp

from tests.conftest import PASSWORD
from tests.services.people import acting, visitor
from zentry_web.domain.people.factor import STEP_SECONDS, FactorNeeded


class App:
    """An authenticator app that shows codes at the test's clock."""

    def __init__(self, secret, clock):
        self._app, self._clock = pyotp.TOTP(secret), clock

    def code(self, step=0):
        """The code of now, or of ``step`` steps later."""
        return self._app.at(int(self._clock.now().timestamp()) + step * STEP_SECONDS)

    def next_code(self):
        """The code of the next step: one that was never given."""
        self._clock.advance(STEP_SECONDS)
        return self.code()


def set_up_app(auth, user, clock, session_token=None):
    """Set an app up; returns it and the recovery codes shown."""
    actor = acting(user)
    setup = auth.factors.begin_app(user.id, actor=actor)
    app = App(setup.secret, clock)
    codes = auth.factors.confirm_app(user.id, setup.sealed, app.code(), actor=actor, session_token=session_token)
    return app, codes


def give_password(auth, user, address=None, password=PASSWORD):
    """The first step of a log-in, which leaves it waiting; returns the waiting log-in's secret."""
    actor = visitor(address) if address else visitor()
    answer = auth.login({"email": user.email, "password": password}, actor=actor)
    assert isinstance(answer, FactorNeeded)
    return answer.secret
