"""The ``zentry`` command. Imports happen inside the commands, so that each starts as quickly as it can."""

import os
import signal
import sys
import time
import urllib.request
from typing import TYPE_CHECKING

import click

from zentry_web.backup_commands import backup, restore
from zentry_web.command_config import read_config
from zentry_web.figures import prepare_figures
from zentry_web.image_commands import images
from zentry_web.simulator_commands import simulator

ANSWERS_SECONDS = 90
ROOM_SECONDS = 2

if TYPE_CHECKING:
    from zentry_web.config import Config
    from zentry_web.services.service_container import ServiceContainer


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="zentry")
def main() -> None:
    """Zentry, a self-hosted cloud console. Settings come from environment variables (docs/operating.md)."""


for command in (backup, images, restore, simulator):
    main.add_command(command)


def _container(config: "Config") -> "ServiceContainer":
    from zentry_web.composition import build_container

    return build_container(config)


@main.command()
def migrate() -> None:
    """Create or bring up to date both databases."""
    from zentry_web.migrate import migrate as run

    config = read_config()
    run(config)
    click.echo(f"The databases in {config.data} are up to date.")


@main.command()
def worker() -> None:
    """Run the background process: operations, reconciling, sampling, billing."""
    config = _prepared(read_config())  # before anything imports prometheus_client

    from zentry_web.adapters.mailer import SmtpServer, make_mailer
    from zentry_web.backup_commands import daily_backup
    from zentry_web.composition import build_container, make_compute
    from zentry_web.logs import configure_logs
    from zentry_web.memory import keep_for_good
    from zentry_web.worker.checkpoints import pausing_checkpoint
    from zentry_web.worker.worker import Pace, Worker, WorkerSettings

    configure_logs(target=config.log)
    checkpoint = pausing_checkpoint(config.data, config.pause_at)
    container = build_container(config, checkpoint=checkpoint)
    running = Worker(
        container,
        make_compute(config),
        WorkerSettings(
            config.data,
            config.stop_timeout_seconds,
            Pace(reconcile=config.reconcile_seconds, sample=config.sample_seconds),
            port=config.worker_port,
            logs_events=bool(config.log),
            silent_seconds=config.silent_seconds,
        ),
        mailer=make_mailer(SmtpServer(config.smtp_url, config.mail_sender, config.host, config.smtp_ca_file)),
        backup=daily_backup(config, container.clock) if config.backup_folder else None,
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: running.stop.set())
    keep_for_good()
    running.run()
    container.close()


@main.command()
def console() -> None:
    """Run the process that holds open consoles of machines."""
    config = _prepared(read_config())

    from threading import Event

    from zentry_web.adapters.console_door import UnixConsoleDoor
    from zentry_web.composition import build_container, make_compute
    from zentry_web.consoles.hub import ConsoleHub
    from zentry_web.logs import configure_logs
    from zentry_web.memory import keep_for_good

    configure_logs(target=config.log)
    container, driver, stop = build_container(config), make_compute(config), Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    keep_for_good()
    ConsoleHub(driver, container.vms, UnixConsoleDoor(config.data), stop).run()
    driver.close()
    container.close()


def _web_command(config: "Config") -> list[str]:
    return [
        sys.executable, "-m", "gunicorn", "zentry_web.wsgi:app",
        "--bind", config.listen,
        "--worker-class", "zentry_web.front_door.FrontDoorWorker",
        "--workers", str(config.web_workers),
        "--threads", str(config.web_threads),
        "--config", "python:zentry_web.gunicorn_settings",
    ]  # fmt: skip


@main.command()
def web() -> None:
    """Run the web server (gunicorn) in the foreground."""
    from zentry_web.listening import require_free_port

    config = read_config()
    require_free_port(config)
    command = _web_command(_prepared(config))
    os.execv(command[0], command)  # noqa: S606 (our own command line)


def _prepared(config: "Config") -> "Config":
    """The data folder is there, and a place for the figures of all processes, which /metrics reads."""
    if os.geteuid() == 0:
        click.echo("zentry: runs as root; give the data folder to an account of its own (docs/operating.md)", err=True)
    config.prepare_data()
    prepare_figures(config.data, config.get_namespace())
    return config


@main.command()
def up() -> None:
    """Run web, worker and console together; stop them with Ctrl-C or SIGTERM. Guests keep running."""
    from zentry_web.listening import require_free_port
    from zentry_web.supervisor import Supervisor

    config = read_config()
    require_free_port(config)
    _migrate_with_room(config)
    commands = {"web": _web_command(_prepared(config))}
    commands |= {name: [sys.executable, "-m", "zentry_web", name] for name in ("worker", "console")}
    sys.exit(Supervisor(commands).run(lambda: _announce(config)))


def _migrate_with_room(config: "Config") -> None:
    """Bring the databases up to date; on a full disk, where SQLite cannot even be opened, as soon as there is room."""
    from zentry_web.migrate import migrate as run_migrations
    from zentry_web.services.shared.storage import is_disk, outage

    told = False
    while True:
        try:
            return run_migrations(config)
        except Exception as error:
            trouble = outage(error)
            if trouble is None or not is_disk(trouble):
                raise
            if not told:
                click.echo(f"zentry: {trouble.message} Zentry waits for room and then starts.", err=True)
            told = True
        time.sleep(ROOM_SECONDS)


def _announce(config: "Config") -> None:
    """Once the web server answers, say where and how to sign in."""
    from zentry_web.listening import is_alive

    deadline = time.monotonic() + ANSWERS_SECONDS
    while not is_alive(config):
        if time.monotonic() > deadline:
            click.echo(f"\n  The web server does not answer on {config.listen}; its lines above say why.\n", err=True)
            return
        time.sleep(0.25)
    container = _container(config)
    token = container.auth.ensure_first_admin_link()
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

    config = read_config()
    container = _container(config)
    try:
        token = container.auth.create_admin(email, name)
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

    container = _container(read_config())
    try:
        found = container.users.find_by_email(old)
        if found is None:
            raise click.ClickException("There is no account with this address.")
        container.auth.email_change.set_email(found.id, new)
    except ServiceError as error:
        raise click.ClickException(" ".join([error.message, *map(str, error.details.values())])) from None
    finally:
        container.close()
    click.echo(f"{old} is {new} from now on. Every session has ended; the password stays.")


@main.command("reset-factors")
@click.argument("email")
def reset_factors(email: str) -> None:
    """Remove all second factors of EMAIL, for somebody who lost them and every recovery code; ends all sessions."""
    container = _container(read_config())
    found = container.users.find_by_email(email)
    gone = container.auth.factors.reset(found.id) if found else 0
    container.close()
    if not found:
        raise click.ClickException("There is no account with this address.")
    click.echo(f"Removed {gone} second factor{'' if gone == 1 else 's'}. The password alone lets {email} in now.")


@main.command()
def verify() -> None:
    """Check money's invariants on the live database, a line each; exit 1 on a breach."""
    container = _container(read_config())
    checks = container.billing.verify()
    container.close()
    for check in checks:
        found = f" ({check.milliseconds} ms) {check.detail}" if check.live else ""
        click.echo(f"{check.verdict:<12} {check.id:<4} {check.title}{found}")
    sys.exit(0 if all(check.ok for check in checks) else 1)


@main.command("erase-user")
@click.argument("user_id")
def erase_user(user_id: str) -> None:
    """Erase the personal fields of an account from the account and from the event log's side table."""
    container = _container(read_config())
    container.users.erase_personal_data(user_id)
    container.close()
    click.echo("Erased.")


@main.command()
def compute() -> None:
    """Ask the hypervisor how it is; exit 1 when it does not answer."""
    from zentry_web.composition import make_compute

    driver = make_compute(read_config())
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
    from zentry_web.domain.people.token import Party

    container = _container(read_config())
    click.echo(container.service_tokens.issue(Party(caller), Party(audience)))
    container.close()


@main.command("worker-ready")
@click.option("--seconds", default=3.0, show_default=True, help="How long to wait for an answer.")
def worker_ready(seconds: float) -> None:
    """Ask the worker on this machine whether its loops go round; exit 1 when not (ZENTRY_WORKER_PORT)."""
    from zentry_web.domain.people.token import Party

    config = read_config()
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
        summary = run(read_config(), users=users, vms=vms, days=days, seed=seed)
    except DemoRefused as error:
        raise click.ClickException(str(error)) from None
    click.echo(summary)


if __name__ == "__main__":
    main()
