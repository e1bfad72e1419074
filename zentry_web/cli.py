"""The ``zentry`` command. Imports happen inside the commands, so that each starts as quickly as it can."""

import os
import signal
import sys
import time
import urllib.request
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from zentry_web.adapters.compute.simulator_control import SimulatorControl
    from zentry_web.config import Config
    from zentry_web.services.service_container import ServiceContainer


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="zentry")
def main() -> None:
    """Zentry, a self-hosted cloud console. Settings come from environment variables (docs/operating.md)."""


def _config() -> "Config":
    from pydantic import ValidationError

    from zentry_web.config import Config

    try:
        return Config()
    except ValidationError as error:
        lines = [f"  {'.'.join(str(part) for part in item['loc'])}: {item['msg']}" for item in error.errors()]
        raise click.ClickException("A setting is not right:\n" + "\n".join(lines)) from None


def _container(config: "Config") -> "ServiceContainer":
    from zentry_web.composition import build_container

    return build_container(config)


@main.command()
def migrate() -> None:
    """Create or bring up to date both databases."""
    from zentry_web.migrate import migrate as run

    config = _config()
    run(config)
    click.echo(f"The databases in {config.data} are up to date.")


@main.command()
def worker() -> None:
    """Run the background process: operations, reconciling, sampling, billing."""
    config = _config()
    _prepare_prometheus(config)  # before anything imports prometheus_client

    from zentry_web.adapters.mailer import make_mailer
    from zentry_web.composition import build_container, make_compute
    from zentry_web.logs import configure_logs
    from zentry_web.memory import keep_for_good
    from zentry_web.worker.checkpoints import pausing_checkpoint
    from zentry_web.worker.worker import Pace, Worker

    configure_logs()
    checkpoint = pausing_checkpoint(config.data, config.pause_at)
    container = build_container(config, checkpoint=checkpoint)
    pace = Pace(reconcile=config.reconcile_seconds, sample=config.sample_seconds)
    running = Worker(
        container,
        make_compute(config),
        pace=pace,
        stop_timeout_seconds=config.stop_timeout_seconds,
        checkpoint=checkpoint,
        folder=config.data,
        mailer=make_mailer(config.smtp_url, config.mail_sender),
        port=config.worker_port,
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: running.stop.set())
    keep_for_good()
    running.run()
    container.close()


def _web_command(config: "Config") -> list[str]:
    return [
        sys.executable, "-m", "gunicorn", "zentry_web.wsgi:app",
        "--bind", f"{config.bind}:{config.port}",
        "--worker-class", "gthread",
        "--workers", str(config.web_workers),
        "--threads", str(config.web_threads),
        "--worker-connections", str(config.web_threads + 20),
        "--config", "python:zentry_web.gunicorn_settings",
    ]  # fmt: skip


@main.command()
def web() -> None:
    """Run the web server (gunicorn) in the foreground."""
    config = _config()
    _prepare_prometheus(config)
    command = _web_command(config)
    os.execv(command[0], command)  # noqa: S606 (our own command line)


def _prepare_prometheus(config: "Config") -> None:
    """All processes write their metrics into one folder, which /metrics reads."""
    folder = config.data / "prometheus"
    config.prepare_data()
    folder.mkdir(exist_ok=True)
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)


@main.command()
def up() -> None:
    """Run web and worker together; stop both with Ctrl-C or SIGTERM. Guests keep running."""
    from zentry_web.migrate import migrate as run_migrations
    from zentry_web.supervisor import Supervisor

    config = _config()
    run_migrations(config)
    _prepare_prometheus(config)
    for stale in (config.data / "prometheus").glob("*.db"):
        stale.unlink(missing_ok=True)
    commands = {"web": _web_command(config), "worker": [sys.executable, "-m", "zentry_web", "worker"]}
    sys.exit(Supervisor(commands).run(lambda: _announce(config)))


def _announce(config: "Config") -> None:
    """Once the web server answers, say where and how to sign in."""
    address = f"http://{'127.0.0.1' if config.bind == '0.0.0.0' else config.bind}:{config.port}/healthz"  # noqa: S104
    request = urllib.request.Request(address, headers={"Host": config.url.partition("://")[2]})
    for _ in range(240):
        try:
            with urllib.request.urlopen(request, timeout=2):  # noqa: S310
                break
        except OSError:
            time.sleep(0.25)
    container = _container(config)
    token = container.get_auth_service().ensure_first_admin_link()
    container.close()
    click.echo(f"\n  Zentry runs at {config.url}")
    if config.compute == "simulator":
        click.echo("  The hypervisor is simulated: no real machine is started (ZENTRY_COMPUTE=simulator).")
    if token is not None:
        click.echo(f"  Become its first admin (one use, 24 hours): {config.url}/welcome/{token}")
        if config.admins_need_factor:
            click.echo("  It asks for a password and then for a second factor: an authenticator app, or a passkey.")
    click.echo("  Stop with Ctrl-C; running machines keep running.\n")


@main.command("create-admin")
@click.argument("email")
@click.option("--name", default="Admin", show_default=True)
def create_admin(email: str, name: str) -> None:
    """Make EMAIL an admin and print a one-time link to set a password."""
    from zentry_web.services.errors import ServiceError

    config = _config()
    container = _container(config)
    try:
        token = container.get_auth_service().create_admin(email, name)
    except ServiceError as error:
        raise click.ClickException(" ".join([error.message, *map(str, error.details.values())])) from None
    finally:
        container.close()
    click.echo(f"{config.url}/welcome/{token}")


@main.command("set-email")
@click.argument("old")
@click.argument("new")
def set_email(old: str, new: str) -> None:
    """Give the account of OLD the address NEW without asking either mailbox; ends all its sessions."""
    from zentry_web.services.errors import ServiceError

    container = _container(_config())
    try:
        found = container.get_user_service().find_by_email(old)
        if found is None:
            raise click.ClickException("There is no account with this address.")
        container.get_auth_service().email_change.set_email(found.id, new)
    except ServiceError as error:
        raise click.ClickException(" ".join([error.message, *map(str, error.details.values())])) from None
    finally:
        container.close()
    click.echo(f"{old} is {new} from now on. Every session has ended; the password stays.")


@main.command("reset-factors")
@click.argument("email")
def reset_factors(email: str) -> None:
    """Remove all second factors of EMAIL, for somebody who lost them and every recovery code; ends all sessions."""
    container = _container(_config())
    found = container.get_user_service().find_by_email(email)
    gone = container.get_auth_service().factors.reset(found.id) if found else 0
    container.close()
    if not found:
        raise click.ClickException("There is no account with this address.")
    click.echo(f"Removed {gone} second factor{'' if gone == 1 else 's'}. The password alone lets {email} in now.")


@main.command()
def verify() -> None:
    """Check money's invariants on the live database, a line each; exit 1 on a breach."""
    container = _container(_config())
    checks = container.get_billing_service().verify()
    container.close()
    for check in checks:
        found = f" ({check.milliseconds} ms) {check.detail}" if check.live else ""
        click.echo(f"{check.verdict:<12} {check.id:<4} {check.title}{found}")
    sys.exit(0 if all(check.ok for check in checks) else 1)


@main.command("erase-user")
@click.argument("user_id")
def erase_user(user_id: str) -> None:
    """Erase the personal fields of an account from the account and from the event log's side table."""
    container = _container(_config())
    container.get_user_service().erase_personal_data(user_id)
    container.close()
    click.echo("Erased.")


@main.command()
def compute() -> None:
    """Ask the hypervisor how it is; exit 1 when it does not answer."""
    from zentry_web.composition import make_compute

    driver = make_compute(_config())
    health = driver.health()
    click.echo(health.detail)
    for name, value in health.facts.items():
        click.echo(f"  {name}: {value}")
    driver.close()
    sys.exit(0 if health.ok else 1)


@main.command("service-token")
@click.argument("audience", type=click.Choice(["worker", "web"]))
@click.option("--caller", default="operator", show_default=True, type=click.Choice(["operator", "agent"]))
def service_token(audience: str, caller: str) -> None:
    """Print a token with which to call AUDIENCE over HTTP for five minutes (Authorization: Bearer TOKEN)."""
    from zentry_web.domain.token import Party

    container = _container(_config())
    click.echo(container.service_tokens.issue(Party(caller), Party(audience)))
    container.close()


@main.command("worker-ready")
@click.option("--seconds", default=3.0, show_default=True, help="How long to wait for an answer.")
def worker_ready(seconds: float) -> None:
    """Ask the worker on this machine whether its loops go round; exit 1 when not (ZENTRY_WORKER_PORT)."""
    from zentry_web.domain.token import Party

    config = _config()
    if not config.worker_port:
        raise click.ClickException("The worker has no port: set ZENTRY_WORKER_PORT.")
    container = _container(config)
    token = container.service_tokens.issue(Party.OPERATOR, Party.WORKER)
    container.close()
    address = f"http://127.0.0.1:{config.worker_port}/readyz"
    request = urllib.request.Request(address, headers={"Authorization": f"Bearer {token}"})
    try:
        with urllib.request.urlopen(request, timeout=seconds) as answer:  # noqa: S310 (our own address)
            click.echo(answer.read().decode())
    except OSError as error:  # refused, too late, or an answer that says not ready
        raise click.ClickException(f"The worker is not ready: {error}") from None


@main.command("seed-demo")
@click.option("--users", default=5, show_default=True, type=click.IntRange(1, 1000))
@click.option("--vms", default=40, show_default=True, type=click.IntRange(0, 100_000))
@click.option("--days", default=14, show_default=True, type=click.IntRange(1, 90))
@click.option("--seed", default=1, show_default=True)
def seed_demo(users: int, vms: int, days: int, seed: int) -> None:
    """Fill an empty database with demo people, projects, machines and history (simulator only)."""
    import logging

    from zentry_web.demo import DemoRefused
    from zentry_web.demo import seed as run
    from zentry_web.logs import configure_logs

    configure_logs(logging.ERROR)  # thousands of ordinary operations are of no interest
    try:
        summary = run(_config(), users=users, vms=vms, days=days, seed=seed)
    except DemoRefused as error:
        raise click.ClickException(str(error)) from None
    click.echo(summary)


@main.group()
def simulator() -> None:
    """Do things to simulated machines behind Zentry's back."""


def _simulator_control() -> "SimulatorControl":
    from zentry_web.adapters.compute.simulator_control import SimulatorControl

    config = _config()
    if config.compute != "simulator":
        raise click.ClickException("The compute driver is not the simulator (ZENTRY_COMPUTE).")
    return SimulatorControl(config.data / "simulator.sqlite")


def _simulate(action: Callable[["SimulatorControl"], object]) -> None:
    from zentry_web.adapters.compute.base import MachineMissing

    control = _simulator_control()
    try:
        action(control)
    except (MachineMissing, ValueError) as error:
        raise click.ClickException(str(error)) from None
    finally:
        control.close()


@simulator.command("list")
def simulator_list() -> None:
    """All simulated machines."""
    _simulate(lambda control: click.echo("\n".join(f"{found.vm_id}  {found.name}" for found in control.machines())))


@simulator.command("destroy")
@click.argument("vm")
def simulator_destroy(vm: str) -> None:
    """Remove VM (id or name) as if somebody had destroyed and undefined it."""
    _simulate(lambda control: control.destroy(vm))


@simulator.command("stop")
@click.argument("vm")
def simulator_stop(vm: str) -> None:
    """Power VM off as if from inside the guest."""
    _simulate(lambda control: control.stop(vm))


@simulator.command("lose")
@click.argument("vm")
@click.option("--found", is_flag=True, help="Its host answers again.")
def simulator_lose(vm: str, found: bool) -> None:
    """Let the host of VM not answer."""
    _simulate(lambda control: control.lose(vm, lost=not found))


@simulator.command("fault")
@click.argument("action")
@click.argument("kind")
@click.option("--vm", default="*", help="Only for this machine.")
@click.option("--times", default=1, show_default=True, help="0: until cleared.")
def simulator_fault(action: str, kind: str, vm: str, times: int) -> None:
    """Let the next calls of ACTION fail with KIND (refuse, unavailable, timeout, timeout-after, ignore)."""
    _simulate(lambda control: control.fault(action, kind, vm, times=times or None))


@simulator.command("delay")
@click.argument("action")
@click.argument("seconds", type=float)
@click.option("--vm", default="*", help="Only for this machine.")
@click.option("--times", default=1, show_default=True, help="0: until cleared.")
def simulator_delay(action: str, seconds: float, vm: str, times: int) -> None:
    """Let the next calls of ACTION (or phases build, power_on, boot, power_off) take SECONDS."""
    _simulate(lambda control: control.delay(action, seconds, vm, times=times or None))


@simulator.command("clear")
def simulator_clear() -> None:
    """Take back all faults and delays."""
    _simulate(lambda control: control.clear())


if __name__ == "__main__":
    main()
