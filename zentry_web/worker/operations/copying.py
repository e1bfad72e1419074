"""Copies of disks: one goes on by itself, and is looked at again and again."""

from collections.abc import Callable, Generator
from typing import Protocol, TypeVar

from zentry_web.adapters.compute.copies import DiskSource
from zentry_web.domain.vms.claim import Claim
from zentry_web.worker.operations.context import OperationContext, Steps


class Progress(Protocol):
    """Of a copy or a backup."""

    @property
    def part(self) -> float: ...

    @property
    def whole(self) -> bool: ...


Found = TypeVar("Found", bound=Progress)


def until_whole(
    context: OperationContext, claim: Claim, step: str, look: Callable[[], Found | None], begin: Callable[[], None]
) -> Generator[float, None, Found]:
    """Begun, and begun again when nobody is at it, until it is whole. How far it is stands on the operation's page.
    Raises what both raise, and Overtaken."""
    begin()
    context.checkpoint(f"{claim.kind.value}.begun")
    looks = 0
    while True:
        found = look()
        if found is None:
            begin()
        elif found.whole:
            return found
        elif (percent := int(found.part * 100)) != claim.details.get("percent"):
            context.step(claim, step, percent=percent)
        yield from context.pause(claim, looks)
        looks += 1


def copied(context: OperationContext, claim: Claim, source: DiskSource, step: str, *, disk_gib: int = 0) -> Steps:
    """A whole copy under the operation's id. Raises what DiskCopies.begin and .progress do, and Overtaken."""
    copies, key = context.driver.copies, claim.operation_id
    yield from until_whole(
        context, claim, step, lambda: copies.progress(key), lambda: copies.begin(key, source, disk_gib=disk_gib)
    )
    context.checkpoint(f"{claim.kind.value}.copied")
