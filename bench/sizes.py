"""How much is measured: so much that a figure means something, or just enough to see that it still runs."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Sizes:
    """The numbers behind ``make bench``."""

    vms: int = 1000  # machines that are seeded
    requests: int = 500  # requests behind a p95
    fleet: int = 100_000  # machines that are settled
    entries: int = 1_000_000  # ledger entries behind the credits page
    pairs: int = 10  # pairs of boots
    keys: int = 100  # typed on a console
    opened: int = 9  # consoles, one after the other
    consoles: int = 50  # at once
    launches: int = 60
    restarted: int = 20  # guests that were there before the host went
    rounds: int = 3  # of which the best counts
    transfers: int = 500  # by each thread
    crowd: int = 200  # other accounts beside the one whose project is looked at
    holding: int = 500  # machines of that project, and of the wallet whose credits page it is
    hours: int = 720  # of that wallet's past
    in_process: int = 100  # requests behind a p95 of a page that is asked for in the process
    checks: int = 2000  # of permission
    hashes: int = 15  # of a password
    scaled: int = 10_000  # machines of one person, beside a tenth of them
    planned: int = 10_000  # machines in the landing plan
    idle_vms: int = 120  # of the demo's machines more than five in six run
    idle_seconds: float = 60
    shown_vms: int = 100  # of the Zentry that a browser looks at
    shown_days: int = 10
    looked_at: int = 9  # of its pages


SMOKE = Sizes(
    vms=12, requests=4, fleet=20, entries=30, pairs=1, launches=3, rounds=1, transfers=5, crowd=3, holding=8, hours=4,
    in_process=2, checks=5, keys=3, opened=1, consoles=4, hashes=2, planned=20, scaled=20,
    idle_vms=12, idle_seconds=1, shown_vms=12, shown_days=1, looked_at=2, restarted=2,
)  # fmt: skip
