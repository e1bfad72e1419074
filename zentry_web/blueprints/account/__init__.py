"""account: see routes.py."""

from . import email, factors, leaving, notifications, oidc, proof, saved_views, security, ssh_keys, tokens, viewing
from .routes import blueprint

__all__ = [
    "blueprint",
    "email",
    "factors",
    "leaving",
    "notifications",
    "oidc",
    "proof",
    "saved_views",
    "security",
    "ssh_keys",
    "tokens",
    "viewing",
]
