"""Dependency injection: one container per process builds the services and hands them out."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from zentry_web import wiring
from zentry_web.adapters.captcha.base import Captcha
from zentry_web.adapters.clock import Clock
from zentry_web.adapters.compute.images import ImageLimits
from zentry_web.adapters.console_door import ConsoleDoor
from zentry_web.adapters.database import Database
from zentry_web.adapters.oidc.base import IdentityProvider
from zentry_web.adapters.payments.base import PaymentProvider
from zentry_web.domain.monitoring import ServiceHealth
from zentry_web.domain.notice import WaitingMails
from zentry_web.domain.package_settings import AuthSettings, BillingSettings, MonitoringSettings
from zentry_web.services.auth_service import AuthService
from zentry_web.services.base_service import Core
from zentry_web.services.billing_service import BillingService
from zentry_web.services.monitoring_service import MonitoringService
from zentry_web.services.project_service import ProjectService
from zentry_web.services.shared.mail_queue import MailQueue
from zentry_web.services.shared.service_tokens import ServiceTokens
from zentry_web.services.user_service import UserService
from zentry_web.services.vm_service import VMService


@dataclass(frozen=True, slots=True)
class Parts:
    """What a container is made of; the composition root puts it together."""

    core: Core
    metrics_database: Database
    auth: AuthSettings
    billing: BillingSettings
    monitoring: MonitoringSettings
    provider: PaymentProvider | None = None
    identity_provider: IdentityProvider | None = None
    captcha: Captcha | None = None
    console_door: ConsoleDoor | None = None
    image_limits: ImageLimits | None = None


class ServiceContainer:
    """Builds each service once. Use it after ``initialize()``; calling that again changes nothing.

    Each service is an attribute, named as its package.
    """

    auth: AuthService
    users: UserService
    projects: ProjectService
    vms: VMService
    billing: BillingService
    monitoring: MonitoringService
    parts: Parts

    def initialize(self, parts: Parts | None = None) -> None:
        """Build the services from ``parts``, or from the environment's settings when none are given."""
        if "parts" in vars(self):
            return
        parts = parts or wiring.default_parts()
        core = parts.core
        self.billing = BillingService(core, parts.billing, provider=parts.provider)
        self.monitoring = MonitoringService(core, parts.metrics_database, parts.monitoring)
        self.vms = VMService(
            core,
            self.billing,
            self.monitoring,
            stop_timeout_seconds=parts.billing.stop_timeout_seconds,
            console_door=parts.console_door,
            image_limits=parts.image_limits,
        )
        self.projects = ProjectService(core, self.billing, self.vms, self.monitoring)
        self.auth = AuthService(
            core,
            self.billing,
            parts.auth,
            identity_provider=parts.identity_provider,
            captcha=parts.captcha,
        )
        self.users = UserService(core, self.auth, self.billing, self.projects, self.vms, self.monitoring)
        self.parts = parts

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> NoReturn:
            if name in ServiceContainer.__annotations__:
                raise RuntimeError("call service_container.initialize() first")
            raise AttributeError(name)

    def get_auth_service(self) -> AuthService:
        """Signing up and in, sessions, second factors, tokens. Raises RuntimeError before ``initialize``."""
        return self.auth

    def get_user_service(self) -> UserService:
        """People and their data, and what admins do with them. Raises RuntimeError before ``initialize``."""
        return self.users

    def get_project_service(self) -> ProjectService:
        """Projects, their members and handovers. Raises RuntimeError before ``initialize``."""
        return self.projects

    def get_vm_service(self) -> VMService:
        """Machines, from the order to the recycle bin. Raises RuntimeError before ``initialize``."""
        return self.vms

    def get_billing_service(self) -> BillingService:
        """Credits: ledger, usage, prices, payments, books. Raises RuntimeError before ``initialize``."""
        return self.billing

    def get_monitoring_service(self) -> MonitoringService:
        """Figures of machines, their consoles, the health of the parts. Raises RuntimeError before ``initialize``."""
        return self.monitoring

    def health_check_all(self) -> dict[str, ServiceHealth]:
        """The health of each service by its name. Never raises."""
        services = (self.billing, self.monitoring, self.vms, self.projects, self.auth, self.users)
        return {service.name: service.health_check() for service in services}

    def mail_queues(self) -> tuple[MailQueue, ...]:
        """Where mails wait for the worker, those that let somebody in first."""
        auth = self.auth
        return auth.verification, auth.email_change, self.projects.invitations, self.billing.notices

    def waiting_mails(self) -> WaitingMails:
        """What waits in all queues together, with the last error of the one that waits longest; four statements."""
        queues = [found for queue in self.mail_queues() if (found := queue.waiting_mails()).since is not None]
        queues.sort(key=lambda found: found.since or self.clock.now())
        error = next((found.error for found in queues if found.error), "")
        return WaitingMails(sum(found.count for found in queues), queues[0].since if queues else None, error)

    @property
    def database(self) -> Database:
        return self.parts.core.database

    @property
    def service_tokens(self) -> ServiceTokens:
        """What processes show each other, under this Zentry's secret key."""
        return ServiceTokens(self.parts.auth.secret_key, self.clock)

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
