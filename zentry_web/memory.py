"""What a process keeps for as long as it runs."""

import gc


def keep_for_good() -> None:
    """Tell Python's garbage collector that what there is now (modules, mappers, charts) stays.

    Called once, when a process is about to begin its work: looking through all of it again takes each full collection
    a tenth of a second, in which every request waits and a write transaction may be open.
    """
    gc.collect()
    gc.freeze()
