"""The settings of a command, or what is wrong with them in words."""

import click
from pydantic import ValidationError

from zentry_web.config import Config


def read_config() -> Config:
    """Settings from the environment. Raises ClickException, without the values, which may be secret."""

    from zentry_web.account import leave_root
    from zentry_web.config import Config

    try:
        config = Config()
    except ValidationError as error:
        lines = [f"  {'.'.join(str(part) for part in item['loc'])}: {item['msg']}" for item in error.errors()]
        raise click.ClickException("A setting is not right:\n" + "\n".join(lines)) from None
    leave_root(config.data)
    return config
