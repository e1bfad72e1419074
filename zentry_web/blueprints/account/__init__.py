"""account: see routes.py."""

from . import factors, leaving, oidc, proof, security, tokens, viewing
from .routes import blueprint

__all__ = ["blueprint", "factors", "leaving", "oidc", "proof", "security", "tokens", "viewing"]
