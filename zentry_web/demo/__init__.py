"""Demo data: people, projects and machines with a past, all made through the services and the simulator."""

from zentry_web.demo.seeding import DemoRefused, seed

__all__ = ["DemoRefused", "seed"]
