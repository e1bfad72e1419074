"""The composition root below Flask: settings in, container and compute driver out. Used by app, worker and cli."""

from collections.abc import Callable

from zentry_web.adapters.bell import PostgresBell, SocketBell
from zentry_web.adapters.captcha.base import Captcha
from zentry_web.adapters.clock import Clock, SteadyClock
from zentry_web.adapters.compute.base import ComputeDriver
from zentry_web.adapters.compute.images import ImageLimits
from zentry_web.adapters.console_door import UnixConsoleDoor
from zentry_web.adapters.database import Database, make_engine
from zentry_web.adapters.letters import Letters, MailSettings
from zentry_web.adapters.oidc.base import IdentityProvider
from zentry_web.adapters.payments.base import PaymentProvider
from zentry_web.config import Config
from zentry_web.domain.package_settings import AuthSettings, BillingSettings, MonitoringSettings
from zentry_web.domain.target import Place, Target
from zentry_web.migrate import METRICS_SCHEMA
from zentry_web.services.base_service import Core
from zentry_web.services.service_container import Parts, ServiceContainer
from zentry_web.web.output.targets import path_of

CLOCK = "clock.json"


def make_parts(
    config: Config, *, clock: Clock | None = None, checkpoint: Callable[[str], None] = lambda name: None
) -> Parts:
    """Engines, clock and plain settings from ``config``; opens no connection yet."""
    config.prepare_data()
    clock = clock or SteadyClock(config.data / CLOCK)
    database = Database(make_engine(config.business_url))
    bell = SocketBell(config.data) if database.is_sqlite else PostgresBell(database.engine)
    mail = MailSettings(bool(config.smtp_url), Letters(config.url, path_of))
    return Parts(
        core=Core(database, clock, checkpoint, bell, config.rate_factor, mail),
        metrics_database=Database(make_engine(config.metrics_database_url, schema=METRICS_SCHEMA, durable=False)),
        auth=AuthSettings(
            session_days=config.session_days,
            session_idle_days=config.session_idle_days,
            argon2_memory_kib=config.argon2_memory_kib,
            argon2_time_cost=config.argon2_time_cost,
            secret_key=config.get_secret_key(),
            base_url=config.url,
            admins_need_factor=config.admins_need_factor,
        ),
        billing=BillingSettings(
            hold_window_seconds=config.hold_window_seconds,
            stop_timeout_seconds=config.stop_timeout_seconds,
            price_notice_days=config.price_notice_days,
            credit_price=config.price_of_credits,
            defaults=config.setting_defaults,
            pinned=config.pinned_settings,
        ),
        monitoring=MonitoringSettings(
            metrics_hours=config.metrics_hours,
            compute_driver=config.compute,
            compute_simulated=config.compute == "simulator",
            data=config.data,
        ),
        provider=make_provider(config, clock),
        identity_provider=make_identity_provider(config, clock),
        captcha=make_captcha(config),
        console_door=UnixConsoleDoor(config.data),
        image_limits=ImageLimits(
            networks=tuple(config.image_networks.split()),
            ca_file=config.image_ca_file,
            most_bytes=config.image_gib * 1024**3,
            fetch_seconds=config.image_minutes * 60,
        ),
    )


def make_captcha(config: Config) -> Captcha | None:
    """What asks visitors whether they are programs, as ``config`` names it; None: nothing does."""
    if not config.captcha_provider:
        return None
    from zentry_web.adapters.captcha.siteverify import SiteverifyCaptcha

    return SiteverifyCaptcha(
        provider=config.captcha_provider,
        site_key=config.captcha_site_key,
        secret=config.captcha_secret.get_secret_value(),
        api=config.captcha_api,
    )


def make_identity_provider(config: Config, clock: Clock) -> IdentityProvider | None:
    """The OpenID provider that ``config`` names, or None. Nothing is asked of it yet."""
    if not config.oidc_issuer:
        return None
    from zentry_web.adapters.oidc.authlib_provider import AuthlibProvider

    return AuthlibProvider(
        issuer=config.oidc_issuer,
        client_id=config.oidc_client_id,
        client_secret=config.oidc_client_secret.get_secret_value(),
        name=config.oidc_name,
        scopes=config.oidc_scopes,
        redirect_uri=config.url + path_of(Target(Place.OIDC_RETURN)),
        clock=clock,
    )


def make_provider(config: Config, clock: Clock) -> PaymentProvider | None:
    """The payment provider that ``config`` names; None: nobody can pay here."""
    if config.payment_provider == "test":
        from zentry_web.adapters.payments.test_provider import BuiltInTestProvider

        return BuiltInTestProvider(config.data / "test-payments.sqlite", clock, config.get_secret_key())
    if config.payment_provider == "stripe":
        from zentry_web.adapters.payments.stripe import StripeProvider

        return StripeProvider(
            secret_key=config.stripe_secret_key.get_secret_value(),
            publishable_key=config.stripe_publishable_key,
            webhook_secret=config.stripe_webhook_secret.get_secret_value(),
            api=config.stripe_api,
        )
    return None


def build_container(
    config: Config,
    *,
    clock: Clock | None = None,
    checkpoint: Callable[[str], None] = lambda name: None,
    container: ServiceContainer | None = None,
) -> ServiceContainer:
    """The services for ``config``, in a new container or in the one given."""
    container = container or ServiceContainer()
    container.initialize(make_parts(config, clock=clock, checkpoint=checkpoint))
    return container


def make_compute(config: Config, *, clock: Clock | None = None) -> ComputeDriver:
    """The compute driver that ``config`` names. Only the worker and the command line talk to it."""
    if config.compute == "simulator":
        from zentry_web.adapters.compute.simulator.driver import SimulatorCompute

        return SimulatorCompute(
            config.data / "simulator.sqlite",
            clock or SteadyClock(config.data / CLOCK),
            seed=config.simulator_seed,
            boot_seconds=config.simulator_boot_seconds,
            image_seconds=5 * config.simulator_boot_seconds,
        )
    from zentry_web.adapters.compute.libvirt.copies.backups import BackupPlace
    from zentry_web.adapters.compute.libvirt.driver import LibvirtCompute

    # A folder of its own in it: two installations may be given the same place.
    backups = config.backups / config.get_namespace() if config.backups else None
    return LibvirtCompute(
        config.libvirt_uri or default_libvirt_uri(),
        config.data,
        namespace=config.get_namespace(),
        image_dir=config.image_dir,
        backup_place=BackupPlace(backups, config.backups_same_disk),
    )


def default_libvirt_uri() -> str:
    """qemu:///system where it answers (or as root); otherwise the session's own daemon."""
    import os

    from zentry_web.adapters.compute.libvirt.driver import answers

    return "qemu:///system" if os.geteuid() == 0 or answers("qemu:///system") else "qemu:///session"
