"""Clients for the tests of pages. Pages are tested on SQLite; what lies below them on both databases.

The application's fixture is called ``web``, not ``app``: pytest-flask would push one request context for all of a
test, and two people's requests would see each other.
"""

import shutil

import pytest
from itsdangerous import URLSafeTimedSerializer

from tests.conftest import PASSWORD, make_config
from tests.page import Page
from tests.services.vm_world import Cloud
from zentry_web import create_app
from zentry_web.composition import build_container
from zentry_web.web import stream_board
from zentry_web.web.live import EXTENSION as HUB
from zentry_web.web.live import init_live
from zentry_web.web.services import EXTENSION


@pytest.fixture
def config(sqlite_config):
    return sqlite_config


@pytest.fixture(scope="session")
def one_web(tmp_path_factory, migrated_sqlite):
    """One application per run: compiling its templates takes longer than most tests."""
    folder = tmp_path_factory.mktemp("web") / "data"
    shutil.copytree(migrated_sqlite, folder)
    container = build_container(make_config(folder))
    yield create_app(make_config(folder), container)
    container.close()


@pytest.fixture
def web(one_web, container):
    """The application on this test's services, CSRF protection and all."""
    one_web.extensions[EXTENSION] = container
    stream_board.share(1, 400)
    init_live(one_web)
    yield one_web
    one_web.extensions[HUB].close()


class Browser:
    """A test client that sends the CSRF token as a page's form would and checks every page it gets."""

    def __init__(self, web):
        self.client = web.test_client()
        self.user = None

    def token(self):
        """The CSRF token that a page of this browser's session would carry."""
        with self.client.session_transaction() as session:
            raw = session.setdefault("csrf_token", "c" * 40)
            signer = URLSafeTimedSerializer(self.client.application.secret_key, salt="wtf-csrf-token")
        return signer.dumps(raw)

    def get(self, url, *, htmx=False, **more):
        return self._checked(self.client.get(url, headers=_headers(htmx, more), **more), htmx)

    def post(self, url, data=None, *, htmx=False, csrf=True, **more):
        values = dict(data or {})
        if csrf:
            values["csrf_token"] = self.token()
        return self._checked(self.client.post(url, data=values, headers=_headers(htmx, more), **more), htmx)

    def page(self, url, *, status=200, htmx=False):
        """The page or fragment at that address, parsed."""
        answer = self.get(url, htmx=htmx)
        assert answer.status_code == status, answer.text[:500]
        return Page(answer.text, fragment=htmx)

    def log_in(self, user, password=PASSWORD):
        answer = self.post("/login", {"email": user.email, "password": password})
        assert answer.status_code == 303, answer.text
        self.user = user
        return self

    def _checked(self, answer, htmx):
        is_html = answer.mimetype == "text/html" and not answer.is_streamed
        if is_html and answer.status_code not in (204, 301, 302, 303):
            Page(answer.text, fragment=htmx)
        return answer


def _headers(htmx, more):
    return {**({"HX-Request": "true"} if htmx else {}), **more.pop("headers", {})}


@pytest.fixture
def visitor(web):
    """Somebody who has not logged in."""
    return Browser(web)


@pytest.fixture
def as_alice(web, alice):
    """The owner's browser."""
    return Browser(web).log_in(alice)


@pytest.fixture
def as_charlie(web, charlie):
    """The stranger's browser."""
    return Browser(web).log_in(charlie)


@pytest.fixture
def as_admin(web, admin):
    """An admin's browser."""
    return Browser(web).log_in(admin)


@pytest.fixture
def cloud(container, compute, clock, config):
    """The world behind the pages: a worker on the simulator that does what a test tells it to."""
    made = Cloud(container, compute, clock, config)
    yield made
    made.close()


@pytest.fixture
def project(cloud, alice):
    """Alice's project."""
    return cloud.project(alice, "Website")


@pytest.fixture
def machine(cloud, alice, project):
    """Alice's machine, running and answered."""
    return cloud.launch(alice, project, "web-1")


@pytest.fixture
def ordered(cloud, alice, project):
    """Alice's machine as just ordered: no worker has looked at it yet."""
    return cloud.ask(alice, project, "web-1")
