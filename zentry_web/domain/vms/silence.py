"""A machine that runs and gives no sign of life: its image may not boot."""

from zentry_web.domain.language import kept

SILENT = kept(
    "It has given no sign of life since it was switched on: it took no address and did not say that it is ready. "
    "It may not boot."
)
TRANSLATED_SECONDS = 900  # a guest whose processor is QEMU's own translator boots many times slower
SECONDS = 300


def patience(accelerator: str, given: int | None) -> int:
    """For how many seconds a machine may be silent before that is said: those that the operator set, else by what runs
    guests here (the ``accelerator`` of the driver's health; anything unknown counts as slow)."""
    if given is not None:
        return given
    return SECONDS if accelerator in ("kvm", "none") else TRANSLATED_SECONDS
