"""``zentry backup``, ``zentry restore``, and the worker's backup of each day."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from zentry_web.command_config import read_config

if TYPE_CHECKING:
    from zentry_web.adapters.clock import Clock
    from zentry_web.config import Config


def daily_backup(config: "Config", clock: "Clock") -> Callable[[], None]:
    """One round of the worker's loop: a backup when the newest is a day old. ``config`` names a folder."""
    from zentry_web.backup import backup_daily

    folder = config.backup_folder
    assert folder is not None

    def run() -> None:
        backup_daily(config, folder, clock.now(), keep=config.backup_keep)

    return run


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
def backup(folder: Path) -> None:
    """Write a backup of everything but the machines' disks into FOLDER, while Zentry runs or not."""
    from zentry_web.adapters.clock import SystemClock
    from zentry_web.backup import BackupError
    from zentry_web.backup import backup as run

    config = read_config()
    try:
        made = run(config, folder, SystemClock().now())
    except BackupError as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"Backed up to {made}. It holds password hashes, addresses and the secret key: keep it to yourself.")
    if not (made / "secret-key").exists():
        click.echo("The secret key is in ZENTRY_SECRET_KEY and not in the backup: keep it, too.")
    click.echo(f"The machines' disks are not in it: {config.data / 'machines'}")


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
def restore(folder: Path) -> None:
    """Put the backup in FOLDER (zentry-…) in place of nothing: ZENTRY_DATA, or the database, must be empty."""
    from zentry_web.backup import BackupError
    from zentry_web.backup import restore as run

    config = read_config()
    try:
        found = run(config, folder)
    except BackupError as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"Restored as of {found.made_at:%Y-%m-%d %H:%M:%S} UTC into {config.data}.")
    if found.secret_key_is_elsewhere:
        click.echo("Its secret key was kept elsewhere: set ZENTRY_SECRET_KEY to it before the first start.")
    if found.images:
        click.echo(f"It had these images: {', '.join(found.images)}.")
    click.echo("Now run zentry verify, then start Zentry.")
