"""What an address among the settings must be like, so that it is refused at start and not by whoever uses it."""

from urllib.parse import urlsplit

from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError


def check_address(value: str) -> str:
    """``value``, unless it is an address that no program reads as it is meant: then ValueError. It may hold a password,
    and is not repeated."""
    try:
        parts = urlsplit(value)
        readable = parts.port is None or bool(parts.hostname)
    except ValueError:
        readable = False
    if not readable or (value and (parts.fragment or any(sign.isspace() for sign in value))):
        raise ValueError(
            "cannot be read as an address. In a user name or password write # as %23, / as %2F, ? as %3F, @ as %40, "
            ": as %3A and % as %25; a port is a number up to 65535"
        )
    return value


def check_mail_server(value: str) -> str:
    """``value`` if it names a mail server and nothing else, or is empty; else ValueError."""
    parts = urlsplit(value)
    is_server = parts.scheme in ("smtp", "smtps") and parts.hostname and parts.path in ("", "/") and not parts.query
    if value and not is_server:
        raise ValueError(
            "a mail server is given as smtp://host:port or smtps://user:password@host:port; in user name and password "
            "write # as %23, / as %2F and ? as %3F"
        )
    return value


def check_database(value: str) -> str:
    """``value`` if it names a database that Zentry can use, or is empty; else ValueError."""
    if not value:
        return value
    try:
        url = make_url(value)
        url.get_dialect()
    except (ArgumentError, NoSuchModuleError, ImportError, ValueError):
        url = None
    if url is None or url.get_backend_name() not in ("sqlite", "postgresql"):
        raise ValueError(
            "is no address of a database that Zentry can use: postgresql+psycopg://user:password@host:port/name or "
            "sqlite:////folder/file; in user name and password write @ as %40, / as %2F and : as %3A"
        )
    return value
