"""Whose processes these are: nothing of Zentry's runs as root, and what it writes is for its own eyes."""

import os
import pwd
from pathlib import Path

import click


def leave_root(data: Path) -> None:
    """What this process writes is private from now on; as root, it becomes the owner of the data folder for good, with
    that account's groups and the folder as its home.

    Who is not root stays who they are, and so does root while the folder is its own or not there yet. Raises
    ClickException for an owner that is no account here.
    """
    os.umask(0o077)
    if os.geteuid() != 0 or not data.exists():
        return
    owner = data.stat().st_uid
    if owner == 0:
        return
    try:
        account = pwd.getpwuid(owner)
    except KeyError:
        raise click.ClickException(f"{data} belongs to user {owner}, which is no account on this machine.") from None
    os.initgroups(account.pw_name, account.pw_gid)
    os.setgid(account.pw_gid)
    os.setuid(owner)
    os.environ |= {"HOME": str(data), "USER": account.pw_name, "LOGNAME": account.pw_name}
