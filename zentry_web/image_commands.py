"""``zentry images``: what machines can be made from. The worker makes them; these commands order and follow that."""

import secrets
import shutil
import time
from typing import TYPE_CHECKING, BinaryIO

import click

from zentry_web.command_config import read_config
from zentry_web.domain.projects.quota import format_memory
from zentry_web.domain.user import SYSTEM

if TYPE_CHECKING:
    from zentry_web.services.service_container import ServiceContainer

LOOK_SECONDS = 1.0


@click.group()
def images() -> None:
    """Images that machines are made from."""


@images.command("list")
def list_images() -> None:
    """List the images with their versions."""
    from zentry_web.composition import build_container

    container = build_container(read_config())
    for entry in container.vms.images.list_entries(actor=SYSTEM):
        click.echo(f"{entry.image.name}{'' if entry.image.active else ' (withdrawn)'}: {entry.machines} machines")
        for version in entry.versions:
            reason = f": {version.reason}" if version.reason else ""
            click.echo(f"  {version.number}  {version.state.value}  {version.driver_name}  {version.id}{reason}")
    container.close()


@images.command("build")
@click.argument("recipe", type=click.Choice(["debian-12", "debian-12-cloud"]))
@click.option("--no-wait", is_flag=True, help="Order it, and do not wait for the worker.")
def build(recipe: str, no_wait: bool) -> None:
    """Build an image from Debian's packages; Ctrl-C cancels it."""
    from zentry_web.composition import build_container

    container = build_container(read_config())
    version_id = container.vms.images.build(recipe, actor=SYSTEM)
    if not no_wait:
        _follow(container, version_id)
    container.close()


@images.command("add")
@click.argument("file", type=click.File("rb"))
@click.option("--name", required=True, help="What people see it called.")
@click.option("--to", "image_id", default="", help="The id of an image that this is the next version of.")
@click.option("--description", default="")
@click.option("--memory", "min_memory_mib", default="512 MiB", show_default=True, help="The least it needs.")
@click.option("--disk", "min_disk_gib", default="5", show_default=True, help="The least it needs, in GiB.")
@click.option("--user", "default_user", default="root", show_default=True, help="Whom SSH keys let in.")
@click.option("--login", "first_login", default="", help="More about how to log in the first time.")
@click.option("--user-data", type=click.Choice(["none", "script", "cloud"]), default="cloud", show_default=True)
def add(file: BinaryIO, **facts: str) -> None:
    """Add an image from a FILE on this server: qcow2, raw, vmdk, vdi, vhdx or vpc; - reads standard input."""
    from zentry_web.adapters.compute.libvirt.images.images import INCOMING
    from zentry_web.composition import build_container
    from zentry_web.services.errors import ServiceError

    config = read_config()
    if not config.image_dir.exists():
        config.image_dir.mkdir(parents=True)
        config.image_dir.chmod(0o711)
    brought = config.image_dir / f"{INCOMING}{secrets.token_hex(8)}"
    container = build_container(config)
    try:
        with brought.open("xb") as target:
            shutil.copyfileobj(file, target, 1024 * 1024)
        version = container.vms.images.add_file(facts, str(brought), actor=SYSTEM)
    except (OSError, ServiceError) as error:
        brought.unlink(missing_ok=True)
        raise click.ClickException(_words(error)) from error
    except BaseException:
        brought.unlink(missing_ok=True)
        raise
    _follow(container, version.id)
    container.close()


@images.command("cancel")
@click.argument("version_id")
def cancel(version_id: str) -> None:
    """Give up a version that is being made."""
    from zentry_web.composition import build_container
    from zentry_web.services.errors import ServiceError

    container = build_container(read_config())
    try:
        container.vms.images.cancel(version_id, actor=SYSTEM)
    except ServiceError as error:
        raise click.ClickException(_words(error)) from error
    container.close()


def _words(error: Exception) -> str:
    details = getattr(error, "details", {})
    return " ".join(str(text) for text in details.values()) if details else str(error)


def _follow(container: "ServiceContainer", version_id: str) -> None:
    """Tell how far it is until it has ended; Ctrl-C cancels it. Raises ClickException when it failed."""
    service, told = container.vms.images, ""
    try:
        while (version := service.get_version(version_id, actor=SYSTEM)).is_working:
            line = version.step or "waits for the worker"
            line += f" {version.percent} %" if version.percent is not None else ""
            if line != told:
                click.echo(line)
                told = line
            time.sleep(LOOK_SECONDS)
    except KeyboardInterrupt:
        service.cancel(version_id, actor=SYSTEM)
        raise click.ClickException("It is being cancelled.") from None
    if version.reason:
        raise click.ClickException(version.reason)
    click.echo(f"Ready: {version.driver_name}, {format_memory(version.size_bytes // 1024**2)} on the host.")
