"""What the operator set for each package of services, as plain values. Their defaults stand in config.py."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

from zentry_web.domain.credits.landing import Policy, default_policy
from zentry_web.domain.credits.payments import CreditPrice
from zentry_web.domain.setting import SettingKey, SettingValue


@dataclass(frozen=True, slots=True)
class AuthSettings:
    """Sessions, passwords and second factors."""

    session_days: int
    session_idle_days: int
    argon2_memory_kib: int
    argon2_time_cost: int
    secret_key: str = field(repr=False)
    base_url: str  # the address people use
    admins_need_factor: bool


@dataclass(frozen=True, slots=True)
class BillingSettings:
    """Holds, the landing, prices, and what the settings of the interface begin with."""

    hold_window_seconds: int
    stop_timeout_seconds: int
    price_notice_days: int
    credit_price: CreditPrice
    defaults: Mapping[SettingKey, SettingValue] = field(default_factory=dict)
    pinned: frozenset[SettingKey] = frozenset()  # what nobody changes in the interface

    @property
    def landing_policy(self) -> Policy:
        """Without the days of grace: those are looked up at each use."""
        policy = default_policy(self.hold_window_seconds)
        return replace(policy, stop_timeout=timedelta(seconds=self.stop_timeout_seconds))


@dataclass(frozen=True, slots=True)
class MonitoringSettings:
    """How long samples are kept, which driver runs the machines, and the folder whose disk must not become full."""

    metrics_hours: int
    compute_driver: str
    compute_simulated: bool
    data: Path
