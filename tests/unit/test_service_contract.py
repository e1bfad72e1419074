"""Names and signatures that the service-layer document promises; docs/service-layer.md lists where Zentry differs."""

import inspect
import re
from pathlib import Path

import pytest

from zentry_web.domain.monitoring import ServiceHealth
from zentry_web.services import errors
from zentry_web.services.auth_service import AuthService
from zentry_web.services.base_service import BaseService
from zentry_web.services.billing_service import BillingService
from zentry_web.services.monitoring_service import MonitoringService
from zentry_web.services.project_service import ProjectService
from zentry_web.services.service_container import ServiceContainer, service_container
from zentry_web.services.user_service import UserService
from zentry_web.services.vm_service import VMService

pytestmark = pytest.mark.unit

SERVICES = (AuthService, BillingService, MonitoringService, ProjectService, UserService, VMService)

# Class, method, and the document's parameters: they come first, in this order.
PROMISED = [
    (BaseService, "log_audit_event", ("user_id", "action", "resource_type", "resource_id", "details")),
    (BaseService, "health_check", ()),
    (BaseService, "new_id", ("prefix",)),
    (BaseService, "get_user_credits", ("user_id",)),
    (BaseService, "require_credits", ("user_id", "amount")),
    (AuthService, "signup", ("user_data",)),
    (AuthService, "login", ("credentials",)),
    (AuthService, "update_profile", ("user_id", "profile_data")),
    (AuthService, "refresh_token", ("session_token",)),
    (VMService, "create_vm", ("vm_data", "current_user")),
    (VMService, "start_vm", ("vm_id",)),
    (VMService, "stop_vm", ("vm_id",)),
    (VMService, "delete_vm", ("vm_id", "confirm_name")),
    (VMService, "get_vm", ("vm_id",)),
    (VMService, "list_vms", ("user_id",)),
    (ProjectService, "create_project", ("project_data", "current_user")),
    (ProjectService, "get_project_statistics", ("project_id",)),
    (ProjectService, "list_projects", ("user_id",)),
    (ProjectService, "delete_project", ("project_id",)),
    (BillingService, "record_transaction", ("user_id", "kind", "amount", "description")),
    (BillingService, "add_credits", ("user_id", "amount", "description")),
    (BillingService, "deduct_credits", ("user_id", "amount", "description")),
    (BillingService, "get_usage_summary", ("user_id", "start", "end")),
    (BillingService, "calculate_cost", ("rate_micro_per_hour", "seconds")),
    (MonitoringService, "record_vm_metrics", ("vm_id", "metrics_data", "user_id")),
    (MonitoringService, "get_vm_metrics", ("vm_id",)),
    (MonitoringService, "get_performance", ("vm_id",)),
    (MonitoringService, "generate_mock_metrics", ("vm_id", "start", "end")),
    (UserService, "get_user", ("user_id",)),
    (UserService, "get_dashboard", ("user_id",)),
    (UserService, "list_activity", ("user_id",)),
    (UserService, "list_users", ()),
    (ServiceContainer, "initialize", ()),
    (ServiceContainer, "health_check_all", ()),
    *((ServiceContainer, f"get_{kind.name}_service", ()) for kind in SERVICES),
]


@pytest.mark.parametrize(("owner", "name", "parameters"), PROMISED, ids=lambda value: getattr(value, "__name__", None))
def test_the_documents_parameters_come_first(owner, name, parameters):
    method = getattr(owner, name)
    assert not inspect.iscoroutinefunction(method)
    assert method.__doc__ or name.startswith("get_"), "a public method says what it promises"
    positional = [
        parameter
        for parameter in list(inspect.signature(method).parameters.values())[1:]
        if parameter.kind is parameter.POSITIONAL_OR_KEYWORD
    ]
    assert tuple(parameter.name for parameter in positional[: len(parameters)]) == parameters
    rest = positional[len(parameters) :]
    assert all(parameter.default is not parameter.empty for parameter in rest), "everything more may be left out"


def test_services_are_base_services_with_names_of_their_own():
    assert all(issubclass(kind, BaseService) for kind in SERVICES)
    assert len({kind.name for kind in SERVICES}) == len(SERVICES)


def test_errors_carry_message_code_and_details():
    error = errors.ServiceError("It went wrong.", "SOME_CODE", {"field": "why"})
    assert (error.message, error.error_code, error.details) == ("It went wrong.", "SOME_CODE", {"field": "why"})
    assert list(inspect.signature(errors.ServiceError).parameters) == ["message", "error_code", "details"]
    codes = {
        errors.ValidationError: "VALIDATION_ERROR",
        errors.NotFoundError: "NOT_FOUND",
        errors.InsufficientCreditsError: "INSUFFICIENT_CREDITS",
        errors.AuthenticationRequiredError: "AUTHENTICATION_REQUIRED",
        errors.PermissionDeniedError: "PERMISSION_DENIED",
        errors.ConflictError: "CONFLICT",
        errors.RateLimitedError: "RATE_LIMITED",
        errors.ProviderUnavailableError: "PROVIDER_UNAVAILABLE",
    }
    for kind, code in codes.items():
        assert issubclass(kind, errors.ServiceError)
        assert kind("message").error_code == code


def test_the_containers_module_has_one_instance_that_waits_to_be_initialized():
    assert isinstance(service_container, ServiceContainer)


@pytest.mark.error
def test_services_are_not_handed_out_before_initialize():
    with pytest.raises(RuntimeError):
        ServiceContainer().get_auth_service()
    with pytest.raises(RuntimeError):
        _ = ServiceContainer().billing
    with pytest.raises(AttributeError):
        _ = ServiceContainer().biling


def test_the_documentation_names_them_all():
    text = (Path(__file__).parents[2] / "docs" / "service-layer.md").read_text()
    for owner, name, _ in PROMISED:
        assert re.search(rf"`(?:{owner.__name__}\.)?{name}\b", text), f"docs/service-layer.md does not name {name}"


@pytest.mark.integration
def test_initialize_twice_changes_nothing_and_every_service_is_healthy(container):
    first = container.get_user_service()
    container.initialize()
    assert container.get_user_service() is first
    health = container.health_check_all()
    assert set(health) == {kind.name for kind in SERVICES}
    assert all(isinstance(one, ServiceHealth) and one.ok for one in health.values())


@pytest.mark.integration
def test_initialize_without_arguments_reads_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("ZENTRY_DATA", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("ZENTRY_ENVIRONMENT", "test")
    container = ServiceContainer()
    container.initialize()
    assert str(tmp_path / "elsewhere") in str(container.database.engine.url)
    assert container.auth is container.get_auth_service()
    assert container.vms is container.get_vm_service()
    container.close()


@pytest.mark.integration
@pytest.mark.error
def test_health_never_raises(container):
    container.database.dispose()
    container.get_auth_service()._database.reading.configure(bind=None)
    health = container.get_auth_service().health_check()
    assert (health.name, health.ok) == ("auth", False)
