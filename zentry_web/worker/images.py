"""Making and removing images: one at a time, in a thread of its own, so that no loop waits for minutes."""

import threading
import time
from collections.abc import Callable

import structlog

from zentry_web.adapters.compute.base import ComputeDriver, ComputeError, ComputeTimeout, ComputeUnavailable
from zentry_web.adapters.compute.images import ImageOrder
from zentry_web.adapters.compute.watch import Stopped, Watch
from zentry_web.domain.vms.image import CANCELLED, ImageWork, VersionState
from zentry_web.services.monitoring_service import MonitoringService
from zentry_web.services.shared.storage import outage
from zentry_web.services.vm_service import VMService

log = structlog.get_logger(__name__)

REPORT_SECONDS = 1.0  # between two reports of how far it is
JOIN_SECONDS = 10.0
CALM_SECONDS = 10.0  # between rounds while nothing is to be made or removed


class ImageMaker:
    """A loop of the worker's. What a worker that was killed had begun is begun again, or gone on with, by the next."""

    def __init__(
        self,
        vms: VMService,
        monitoring: MonitoringService,
        driver: ComputeDriver,
        stop: threading.Event,
        checkpoint: Callable[[str], None] = lambda name: None,
    ) -> None:
        self._vms, self._monitoring, self._driver = vms, monitoring, driver
        self._stop, self._checkpoint = stop, checkpoint
        self._thread: threading.Thread | None = None

    def run(self) -> float | None:
        """Begin what waits, unless something is being made; remove what is to be removed. See Worker.loops."""
        if self._thread is not None and self._thread.is_alive():
            return None
        works = self._vms.image_making.list_work()
        for work in works:
            if work.state == VersionState.REMOVING:
                self._remove(work)
                continue
            self._thread = threading.Thread(target=self.make, args=(work,), name=f"image {work.driver_name}")
            self._thread.start()
            return None
        return None if works else CALM_SECONDS

    def join(self) -> None:
        """Wait for what is being made to let go; ``stop`` is set."""
        if self._thread is not None:
            self._thread.join(JOIN_SECONDS)

    def make(self, work: ImageWork) -> None:
        """Make one version and record how that ended. Never raises."""
        making = self._vms.image_making
        log.info("image", image=work.driver_name, source=work.source)
        try:
            self._checkpoint("making.claimed")
            if making.is_wanted(work.version_id):
                facts = self._driver.images.make(self._order(work), self._watch(work))
                self._checkpoint("making.made")
                self._tell_names()
                making.made(work.version_id, facts)
                self._driver.images.forget(self._order(work))
                return
            self._give_up(work, CANCELLED)
        except Stopped:
            if not self._stop.is_set():
                self._give_up(work, CANCELLED)
        except (ComputeUnavailable, ComputeTimeout) as error:
            log.warning("image_again", image=work.driver_name, reason=str(error))
        except ComputeError as error:
            self._give_up(work, str(error))
        except Exception as error:
            if outage(error) is not None:  # no fault of the image's: begun again in the next round
                log.warning("image_again", image=work.driver_name, reason=str(error))
                return
            log.exception("image_crashed", image=work.driver_name)
            self._give_up(work, f"An internal error ({type(error).__name__}). The operator’s log says more.")

    def _give_up(self, work: ImageWork, reason: str) -> None:
        log.warning("image_failed", image=work.driver_name, reason=reason)
        try:
            self._driver.images.forget(self._order(work))
            self._checkpoint("making.forgotten")
            self._vms.image_making.failed(work.version_id, reason)
        except Exception:  # the next round finds it as it is
            log.exception("image_unrecorded", image=work.driver_name)

    def _remove(self, work: ImageWork) -> None:
        if self._driver.images.remove(work.driver_name):
            self._checkpoint("making.removed")
            self._tell_names()
            self._vms.image_making.removed(work.version_id)

    def _tell_names(self) -> None:
        """Which images there are is written down now, not with the next look at the host: launches ask for it."""
        known = self._monitoring.get_compute_status()
        names = self._driver.images.names()
        self._monitoring.processes.record_compute(ok=known.ok, detail=known.detail, images=names)

    def _order(self, work: ImageWork) -> ImageOrder:
        limits = self._vms.images.limits()
        return ImageOrder(work.driver_name, work.source, work.reference, work.sha256, limits)

    def _watch(self, work: ImageWork) -> Watch:
        """Tells the pages how far it is, at most once a second; asks as often whether it is still wanted."""
        making = self._vms.image_making
        step, told, asked, is_wanted = "", 0.0, 0.0, True

        def at(name: str) -> None:
            nonlocal step, told
            step, told = name, time.monotonic()
            making.report(work.version_id, name, 0, 0)
            self._checkpoint(f"making.{name}")

        def done(amount: int, total: int) -> None:
            nonlocal told
            now = time.monotonic()
            if now >= told + REPORT_SECONDS:
                told = now
                making.report(work.version_id, step, amount, total)

        def wanted() -> bool:
            nonlocal asked, is_wanted
            now = time.monotonic()
            if now >= asked + REPORT_SECONDS:
                asked, is_wanted = now, making.is_wanted(work.version_id)
            return is_wanted and not self._stop.is_set()

        return Watch(at, done, wanted)
