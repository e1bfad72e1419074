"""Transfers between a wallet and its held account, one commit each, beside bare SQL that writes the same rows."""

import threading
import time
from collections.abc import Callable, Iterator

from bench.bare import ACCOUNT, Bare
from bench.figures import Figure
from bench.fleet import BODY, START, Fleet
from bench.sizes import Sizes
from bench.stores import Store
from zentry_web.adapters.clock import ManualClock
from zentry_web.composition import build_container
from zentry_web.config import Config
from zentry_web.domain.credits.billing import AccountKind, TransferKind
from zentry_web.services.base_service import BaseService, body_hash
from zentry_web.services.billing.ledger import posting as ledger

NAMES = ("transfer_ratio",)
GOAL = 0.5
THREADS = 4
WARM_UP = 20


def measure(store: Store, sizes: Sizes) -> Iterator[Figure]:
    """Transfers per second of both by turns, the best of some rounds; what Zentry wrote is verified."""
    fleet = Fleet(owners=THREADS, vms=1)
    store.prepare(fleet)
    ours, bare, by_hand = [], [], []
    for _ in range(sizes.rounds):
        ours.append(_ours(store.copy("ours"), fleet, sizes.transfers))
        bare.append(_bare(store.copy("bare"), fleet, sizes.transfers))
        by_hand.append(_by_hand(store.copy("ours"), fleet, sizes.transfers // 5))
    facts = {
        "database": store.kind,
        "threads": THREADS,
        "rounds": sizes.rounds,
        "per_second": round(max(ours)),
        "bare_per_second": round(max(bare)),
        "audited_grants_per_second": round(max(by_hand)),
    }
    yield Figure(NAMES[0], max(ours) / max(bare), "times", GOAL, 1, facts, at_least=True)


def _ours(config: Config, fleet: Fleet, each: int) -> float:
    """As the services move credits: lock, look whether the key is new, post."""
    container = build_container(config, clock=ManualClock(START))
    service: BaseService = container.billing

    def job(number: int) -> Callable[[int], None]:
        owner = fleet.owner(number)
        wallet, held = (ledger.account_id(kind, owner) for kind in (AccountKind.WALLET, AccountKind.HELD))

        def move(index: int) -> None:
            key = f"move:{number}:{index}"
            body = body_hash(key, 1)
            with service.transaction() as session:
                funds = ledger.lock_accounts(session, [owner])[owner]
                if ledger.find_posted(session, key, body) is None:
                    ledger.require_funds(funds.wallet, 1, "There are not enough credits.")
                    draft = ledger.Draft(TransferKind.HOLD, owner, key, body, {wallet: -1, held: 1}, "Moved")
                    ledger.post(session, [draft], service.now())

        return move

    rate = _rate([job(number) for number in range(THREADS)], each)
    checks = container.billing.verify()
    wrong = [check for check in checks if not check.ok and check.id != "L14"]  # no holds belong to these moves
    assert not wrong, wrong
    container.close()
    return rate


def _by_hand(config: Config, fleet: Fleet, each: int) -> float:
    """Grants with everything around them: the check of the request, the event in the audit log, the answer."""
    container = build_container(config, clock=ManualClock(START))
    billing = container.billing

    def job(number: int) -> Callable[[int], object]:
        return lambda index: billing.add_credits(fleet.owner(number), 1, "Moved", idempotency_key=f"{number}:{index}")

    rate = _rate([job(number) for number in range(THREADS)], each)
    container.close()
    return rate


def _bare(config: Config, fleet: Fleet, each: int) -> float:
    connections = [Bare(config.business_url, threads=True) for _ in range(THREADS)]

    def job(number: int) -> Callable[[int], None]:
        bare, owner = connections[number], fleet.owner(number)
        wallet, held = f"wallet_{owner}", f"held_{owner}"
        heads = {row[0]: [row[1], row[2]] for row in bare.query("SELECT id, last_seq, balance FROM account")}
        transfer, entry, account = bare.insert("transfer"), bare.insert("entry"), bare.sql(ACCOUNT)

        def move(index: int) -> None:
            made = f"tr_bare_{number}_{index:012d}"
            at = int(START.timestamp()) * 10**6
            with bare.transaction() as cursor:
                cursor.execute(transfer, (made, at, "hold", made, BODY, "system", owner, None, "Moved"))
                for name, amount in ((wallet, -1), (held, 1)):
                    cursor.execute(account, (amount, 1, name))
                    head = heads[name]
                    head[0], head[1] = head[0] + 1, head[1] + amount
                    cursor.execute(entry, (name, head[0], made, amount, head[1]))

        return move

    jobs = [job(number) for number in range(THREADS)]
    for bare in connections:
        bare.finish()
    rate = _rate(jobs, each)
    for bare in connections:
        bare.close()
    return rate


def _rate(jobs: list[Callable[[int], object]], each: int) -> float:
    """Calls per second of all jobs together, each in a thread of its own, after some that warm up."""
    ready, failed = threading.Barrier(len(jobs) + 1), []

    def work(job: Callable[[int], object]) -> None:
        for index in range(WARM_UP):
            job(index)
        ready.wait()
        for index in range(WARM_UP, WARM_UP + each):
            job(index)

    def guarded(job: Callable[[int], object]) -> None:
        try:
            work(job)
        except Exception as error:
            failed.append(error)
            ready.abort()

    threads = [threading.Thread(target=guarded, args=(job,), daemon=True) for job in jobs]
    for thread in threads:
        thread.start()
    ready.wait()
    started = time.perf_counter()
    for thread in threads:
        thread.join()
    took = time.perf_counter() - started
    assert not failed, failed
    return len(jobs) * each / took
