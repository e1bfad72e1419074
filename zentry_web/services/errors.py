"""What services raise. web/errors.py has the one table from these to statuses and flash messages."""

from typing import Any


class ServiceError(Exception):
    """A refusal that a person can understand: ``message`` is shown, ``error_code`` decides the status."""

    default_code = "SERVICE_ERROR"

    def __init__(self, message: str, error_code: str | None = None, details: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.error_code = error_code or self.default_code
        self.details = details or {}


class ValidationError(ServiceError):
    """Bad input. ``details`` maps each field to its sentence."""

    default_code = "VALIDATION_ERROR"


class NotFoundError(ServiceError):
    """There is no such thing, or it is somebody else's: the two look the same from outside."""

    default_code = "NOT_FOUND"


class InsufficientCreditsError(ServiceError):
    """``details``: ``needed`` and ``available`` in micro-credits."""

    default_code = "INSUFFICIENT_CREDITS"


class AuthenticationRequiredError(ServiceError):
    """Nobody is signed in, or the log-in was wrong or has expired."""

    default_code = "AUTHENTICATION_REQUIRED"


class PermissionDeniedError(ServiceError):
    """The person may see it but not do this."""

    default_code = "PERMISSION_DENIED"


class ProofRequiredError(PermissionDeniedError):
    """The person may do it, but has to prove again who it is: the last time is too long ago."""

    default_code = "PROOF_REQUIRED"


class ConflictError(ServiceError):
    """Name taken, wrong state, or the same key used for something else."""

    default_code = "CONFLICT"


class HandedOverError(ConflictError):
    """While a lock was waited for, somebody else came to pay for it."""


class AccountLeavingError(ConflictError):
    """The account's deletion was asked for: nothing new begins in it. ``details``: ``own`` (it is the actor's)."""

    default_code = "ACCOUNT_LEAVING"


class PriceChangedError(ConflictError):
    """Something costs another price than the person was shown. ``details``: ``shown`` and ``now``, each (running,
    stopped) in micro-credits per hour."""

    default_code = "PRICE_CHANGED"


class PlanChangedError(ConflictError):
    """What an order would do is no longer what the person was shown. ``details``: ``shown`` and ``now``, the facts of
    both plans (domain/vms/plan.py)."""

    default_code = "PLAN_CHANGED"


class BudgetExceededError(ConflictError):
    """A project's hard cap. ``details``: ``budget``, ``spent``, ``ahead`` in micro-credits, ``project_id``."""

    default_code = "BUDGET_EXCEEDED"


class QuotaExceededError(ConflictError):
    """A quota of a project or its owner. ``details``: ``quota`` (the resource), ``scope``, ``limit``, ``used``,
    ``wanted``, ``project_id``, and ``field``: what in a form asked for too much."""

    default_code = "QUOTA_EXCEEDED"


class RateLimitedError(ServiceError):
    """``details``: ``retry_after`` in seconds."""

    default_code = "RATE_LIMITED"


class ProviderUnavailableError(ServiceError):
    """Something Zentry depends on does not answer."""

    default_code = "PROVIDER_UNAVAILABLE"


class StorageUnavailableError(ServiceError):
    """The disk is full or cannot be written, or the database is away. ``details``: ``retry_after`` in seconds."""

    default_code = "STORAGE_UNAVAILABLE"
