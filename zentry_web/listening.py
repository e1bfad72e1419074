"""The port that the web server listens on: whether it is free, and whether our server answers there."""

import json
import socket
import urllib.request

import click

from zentry_web.config import Config


def require_free_port(config: Config) -> None:
    """End with a plain word when the web server could not listen: supervised, it would try again for ever."""
    family, kind, protocol, _, address = socket.getaddrinfo(
        config.bind, config.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
            probe.listen(1)
        except OSError as error:
            raise click.ClickException(
                f"Zentry cannot listen on {config.listen}: {error.strerror}. If another program (or another Zentry) "
                "does, stop it or choose another port with PORT."
            ) from None


def is_alive(config: Config) -> bool:
    """Whether our web server answers on its port."""
    local = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104 (compared with, not bound to)
    host = local.get(config.bind) or config.listen.rpartition(":")[0]
    try:
        with urllib.request.urlopen(f"http://{host}:{config.port}/healthz", timeout=2) as answer:
            return bool(json.load(answer) == {"status": "alive"})
    except (OSError, ValueError):
        return False
