"""*Test my console path*: looks at each part of the way from a browser to a machine, and says which one fails."""

import contextlib
import time
from collections.abc import Awaitable, Callable, Sequence

from zentry_web.adapters.compute.base import ComputeDriver, ComputeError
from zentry_web.consoles.browser import Browser
from zentry_web.domain.language import _, find, kept

SCREEN_SECONDS = 3.0
Hop = tuple[str, Callable[[], Awaitable[object]]]


async def look_along(browser: Browser, hops: Sequence[Hop]) -> None:
    """Tell the page of this process, and of each hop behind it until one fails."""
    browser.say(hop="process", ok=True, text="")
    for name, look in hops:
        began = time.monotonic()
        try:
            await look()
        except (ComputeError, OSError) as error:
            browser.say(hop=name, ok=False, text=find(str(error)))
            return
        milliseconds = round((time.monotonic() - began) * 1000)
        browser.say(hop=name, ok=True, text=_("%(count)s ms", count=milliseconds))
    await browser.drain()


def look_at_host(driver: ComputeDriver, vm_id: str) -> None:
    """Whether the hypervisor answers, and the machine is on. Raises ComputeError."""
    machine = driver.machine(vm_id)
    if machine is None:
        raise ComputeError(kept("The machine does not exist on the host."))
    if not machine.is_on:
        raise ComputeError(kept("The machine is off, so it has no console."))


def look_at_screen(driver: ComputeDriver, vm_id: str) -> None:
    """Whether its screen answers. Raises ComputeError, OSError."""
    with contextlib.closing(driver.consoles.open_screen(vm_id)) as stream:
        stream.settimeout(SCREEN_SECONDS)
        if not stream.recv(12).startswith(b"RFB"):
            raise ComputeError(kept("The screen does not answer as it should."))
