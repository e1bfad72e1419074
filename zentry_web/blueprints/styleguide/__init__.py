"""Development only: every component on one page. create_app registers it in development and nowhere else."""

from .routes import blueprint

__all__ = ["blueprint"]
