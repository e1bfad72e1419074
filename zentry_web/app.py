"""The composition root of the web application: what ``zentry_web.create_app`` builds."""

from datetime import timedelta
from urllib.parse import urlsplit

from flask import Flask
from jinja2 import StrictUndefined
from werkzeug.middleware.proxy_fix import ProxyFix

from zentry_web.blueprints import (
    account,
    admin,
    api,
    auth,
    billing,
    dashboard,
    health,
    internal,
    invitations,
    operations,
    projects,
    public,
    recycle_bin,
    search,
    styleguide,
    undo,
    vms,
    webhooks,
)
from zentry_web.blueprints import live as live_pages
from zentry_web.composition import build_container
from zentry_web.config import Config
from zentry_web.db import db
from zentry_web.request_bytes import MOST_BODY
from zentry_web.services.service_container import ServiceContainer
from zentry_web.web import access_log, assets, errors, language, live, own_address, request_id, services
from zentry_web.web.input import bodies, form_tokens
from zentry_web.web.output import charts, compression, context, filters, flash, headers, htmx
from zentry_web.web.session import actor, viewing

LOOPBACK = ("localhost", "127.0.0.1", "::1")


def make_app(config: Config | None = None, container: ServiceContainer | None = None) -> Flask:
    """The WSGI application on ``config`` (default: the environment) and ``container`` (default: built from it)."""
    config = config or Config()
    container = container or build_container(config)
    app = Flask(__name__, static_folder="static", template_folder="templates")
    app.config.from_mapping(_flask_settings(config, container))
    app.request_class = bodies.BoundedRequest
    app.jinja_env.undefined = StrictUndefined
    app.wsgi_app = own_address.OwnAddress(  # type: ignore[method-assign]
        app.wsgi_app, config.url, is_proxied=bool(config.trusted_proxies)
    )
    if config.trusted_proxies:
        count = config.trusted_proxies
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=count, x_proto=count, x_host=count)  # type: ignore[method-assign]
    db.init_app(app)
    _init_web(app, config, container)
    _register_blueprints(app, config)
    return app


def _flask_settings(config: Config, container: ServiceContainer) -> dict[str, object]:
    prefix = "__Host-" if config.is_https else ""
    return {
        "SECRET_KEY": config.get_secret_key(),
        "TESTING": config.environment == "test",
        "MAX_CONTENT_LENGTH": MOST_BODY,
        "MAX_FORM_MEMORY_SIZE": MOST_BODY,
        "SESSION_COOKIE_NAME": f"{prefix}zentry_session",
        "SESSION_COOKIE_SECURE": config.is_https,
        "SESSION_COOKIE_HTTPONLY": True,
        "SESSION_COOKIE_SAMESITE": "Lax",
        # An answer still under way must not put an older cookie back over that of a log-in or log-out.
        "SESSION_REFRESH_EACH_REQUEST": False,
        "THEME_COOKIE_NAME": f"{prefix}zentry_theme",
        "LANGUAGE_COOKIE_NAME": f"{prefix}zentry_language",
        "PERMANENT_SESSION_LIFETIME": timedelta(days=config.session_days),
        "WTF_CSRF_TIME_LIMIT": None,  # as long as the session
        "WTF_CSRF_SSL_STRICT": False,  # web/own_address.py looks at where a form came from, Referer or not
        "SQLALCHEMY_DATABASE_URI": config.business_url,
        "ZENTRY_URL": config.url,
        "ZENTRY_ENGINE": container.database.engine,
        "ZENTRY_SIMULATED": config.compute == "simulator",
        "ZENTRY_METRICS_TOKEN": config.metrics_token,
        "ZENTRY_SIGNUP_SECONDS": config.signup_seconds,
    }


def _own_hosts(config: Config) -> set[str]:
    """The host names this Zentry answers to: its own address, and this machine's."""
    hosts = {urlsplit(config.url).hostname or "localhost", *LOOPBACK}
    if config.bind not in ("0.0.0.0", "::"):  # noqa: S104 (compared with, not bound to)
        hosts.add(config.bind.lower())
    return hosts


def _init_web(app: Flask, config: Config, container: ServiceContainer) -> None:
    app.extensions[services.EXTENSION] = container
    language.init_language(app)
    compression.init_compression(app)
    request_id.init_request_id(app)
    own_address.init_own_hosts(app, _own_hosts(config))
    headers.init_headers(app, is_https=config.is_https)
    access_log.init_access_log(app)
    csrf = form_tokens.FormTokens(app)
    csrf.exempt(webhooks.receive)  # its own signature says who sends it
    csrf.exempt(internal.blueprint)  # other processes, with their tokens
    csrf.exempt(api.blueprint)  # it takes tokens, never the cookie
    own_address.init_own_forms(app, config.url)
    actor.init_login(app)
    viewing.init_viewing(app)
    app.before_request(language.follow_account)
    flash.init_flash(app)
    errors.init_errors(app)
    context.init_context(app)
    language.init_texts(app)
    filters.init_filters(app)
    htmx.init_htmx(app)
    assets.init_assets(app)
    charts.init_charts(app)
    live.init_live(app)


def _register_blueprints(app: Flask, config: Config) -> None:
    pages = (public, auth, dashboard, projects, recycle_bin, invitations, vms, operations, billing, account, admin)
    for package in (*pages, undo, search, live_pages, health, webhooks, internal):
        app.register_blueprint(package.blueprint)
    api.init_api(app)
    if config.environment == "development":
        app.register_blueprint(styleguide.blueprint)
