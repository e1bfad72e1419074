"""What ``service_container.initialize()`` builds from when it is given nothing: the package's root says it here.

So the services can be built by whoever imports them, and know nothing of the composition root above them.
"""

from collections.abc import Callable
from typing import Any

default_parts: Callable[[], Any]  # the Parts of the environment's settings; set in zentry_web/__init__.py
