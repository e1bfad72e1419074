"""Dependency injection: one container per process builds the services and hands them out."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from importlib import import_module
from typing import TypeVar, cast

from zentry_web.adapters.captcha.base import Captcha
from zentry_web.adapters.clock import Clock
from zentry_web.adapters.database import Database
from zentry_web.adapters.oidc.base import IdentityProvider
from zentry_web.adapters.payments.base import PaymentProvider
from zentry_web.domain.landing import Policy, default_policy
from zentry_web.domain.monitoring import ServiceHealth
from zentry_web.domain.payments import CreditPrice
from zentry_web.domain.setting import SettingKey, SettingValue
from zentry_web.services.auth_service import AuthService
from zentry_web.services.base_service import BaseService, Core
from zentry_web.services.billing_service import BillingService
from zentry_web.services.monitoring_service import MonitoringService
from zentry_web.services.notices import MailSettings
from zentry_web.services.project_service import ProjectService
from zentry_web.services.secret_box import FactorSettings
from zentry_web.services.service_tokens import ServiceTokens
from zentry_web.services.settings import Settings
from zentry_web.services.user_service import UserService
from zentry_web.services.vm_service import VMService

ServiceT = TypeVar("ServiceT", bound=BaseService)


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """The settings that services need, as plain values."""

    hold_window_seconds: int
    stop_timeout_seconds: int
    session_days: int
    session_idle_days: int
    argon2_memory_kib: int
    argon2_time_cost: int
    metrics_hours: int
    compute_driver: str
    compute_simulated: bool
    mail: MailSettings = field(default_factory=MailSettings)
    defaults: Mapping[SettingKey, SettingValue] = field(default_factory=dict)
    pinned: frozenset[SettingKey] = frozenset()
    price_notice_days: int = 14
    credit_price: CreditPrice = field(default_factory=CreditPrice)
    factors: FactorSettings = field(default_factory=FactorSettings)

    @property
    def landing_policy(self) -> Policy:
        """Without the days of grace: those are looked up at each use."""
        return replace(
            default_policy(self.hold_window_seconds), stop_timeout=timedelta(seconds=self.stop_timeout_seconds)
        )


@dataclass(frozen=True, slots=True)
class Parts:
    """What a container is made of; the composition root puts it together."""

    core: Core
    metrics_database: Database
    settings: ServiceSettings
    provider: PaymentProvider | None = None
    identity_provider: IdentityProvider | None = None
    captcha: Captcha | None = None


@dataclass
class ServiceContainer:
    """Builds each service once. Use it after ``initialize()``; calling that again changes nothing."""

    _parts: Parts | None = None
    _services: dict[str, BaseService] = field(default_factory=dict)

    def initialize(self, parts: Parts | None = None) -> None:
        """Build the services from ``parts``, or from the environment's settings when none are given."""
        if self._parts is not None:
            return
        if parts is None:
            parts = cast(Parts, import_module("zentry_web.composition").parts_from_environment())
        core, settings = parts.core, parts.settings
        billing = BillingService(
            core,
            settings=Settings(core, settings.defaults, settings.pinned, mail=settings.mail),
            hold_window_seconds=settings.hold_window_seconds,
            mail=settings.mail,
            policy=settings.landing_policy,
            price_notice_days=settings.price_notice_days,
            provider=parts.provider,
            credit_price=settings.credit_price,
        )
        monitoring = MonitoringService(
            core,
            parts.metrics_database,
            keep_hours=settings.metrics_hours,
            compute_driver=settings.compute_driver,
            compute_simulated=settings.compute_simulated,
        )
        vm = VMService(
            core,
            billing,
            monitoring,
            stop_timeout_seconds=settings.stop_timeout_seconds,
        )
        project = ProjectService(core, billing, vm, monitoring, mail=settings.mail)
        auth = AuthService(
            core,
            billing,
            session_days=settings.session_days,
            idle_days=settings.session_idle_days,
            memory_kib=settings.argon2_memory_kib,
            time_cost=settings.argon2_time_cost,
            mail=settings.mail,
            factor_settings=settings.factors,
            identity_provider=parts.identity_provider,
            captcha=parts.captcha,
        )
        user = UserService(core, auth, billing, project, vm, monitoring)
        for service in (billing, monitoring, vm, project, auth, user):
            self._services[service.name] = service
        self._parts = parts

    def _get(self, kind: type[ServiceT]) -> ServiceT:
        if self._parts is None:
            raise RuntimeError("call service_container.initialize() first")
        return cast(ServiceT, self._services[kind.name])

    def get_auth_service(self) -> AuthService:
        return self._get(AuthService)

    def get_user_service(self) -> UserService:
        return self._get(UserService)

    def get_project_service(self) -> ProjectService:
        return self._get(ProjectService)

    def get_vm_service(self) -> VMService:
        return self._get(VMService)

    def get_billing_service(self) -> BillingService:
        return self._get(BillingService)

    def get_monitoring_service(self) -> MonitoringService:
        return self._get(MonitoringService)

    def health_check_all(self) -> dict[str, ServiceHealth]:
        """The health of each service by its name. Never raises."""
        return {name: service.health_check() for name, service in self._services.items()}

    @property
    def parts(self) -> Parts:
        if self._parts is None:
            raise RuntimeError("call service_container.initialize() first")
        return self._parts

    @property
    def database(self) -> Database:
        return self.parts.core.database

    @property
    def service_tokens(self) -> ServiceTokens:
        """What processes show each other, under this Zentry's secret key."""
        return ServiceTokens(self.parts.settings.factors.secret_key, self.clock)

    @property
    def metrics_database(self) -> Database:
        return self.parts.metrics_database

    @property
    def clock(self) -> Clock:
        return self.parts.core.clock

    def close(self) -> None:
        """Close the pooled connections of both databases."""
        self.database.dispose()
        self.metrics_database.dispose()


service_container = ServiceContainer()
