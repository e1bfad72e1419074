"""``zentry verify``: the invariants of money, checked on the live database by SQL that both databases speak."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from zentry_web.domain.credits.billing import Check
from zentry_web.domain.credits.usage import EPOCH, next_month_start
from zentry_web.domain.language import kept
from zentry_web.services.billing.usage.settlement import CHARGE, INTERVAL

APPEND_ONLY = (
    "charge", "entry", "event", "image_price_version", "price_version", "promotion_use", "receipt", "storage_price",
    "transfer", "voucher_redemption",
)  # fmt: skip
_SHOWN = 3  # breaches named in a check's detail; one is enough to be alarmed

_L1 = (
    "SELECT 'the sum of all entries is ' || SUM(amount) FROM entry HAVING SUM(amount) <> 0",
    """SELECT 'transfer ' || transfer_id || ' does not sum to zero' FROM entry
       GROUP BY transfer_id HAVING SUM(amount) <> 0""",
)
_L2 = (
    """SELECT 'account ' || a.id || ' differs from its entries' FROM account a
       LEFT JOIN (SELECT account_id, SUM(amount) AS total, COUNT(*) AS n FROM entry GROUP BY account_id) e
         ON e.account_id = a.id
       WHERE a.balance <> COALESCE(e.total, 0) OR a.last_seq <> COALESCE(e.n, 0)""",
    """SELECT 'entry ' || seq || ' of ' || account_id || ' does not follow from the one before' FROM (
         SELECT account_id, seq, amount, balance_after,
                ROW_NUMBER() OVER (PARTITION BY account_id ORDER BY seq) AS n,
                COALESCE(LAG(balance_after) OVER (PARTITION BY account_id ORDER BY seq), 0) AS before
         FROM entry) chain
       WHERE seq <> n OR before + amount <> balance_after""",
)
_L3 = (
    "SELECT 'account ' || id || ' is at ' || balance FROM account WHERE kind IN ('wallet', 'held') AND balance < 0",
    """SELECT 'account ' || e.account_id || ' was at ' || e.balance_after FROM entry e
       JOIN account a ON a.id = e.account_id WHERE a.kind IN ('wallet', 'held') AND e.balance_after < 0""",
)
_KEYS = (
    "SELECT 'key ' || idempotency_key || ' was used twice' FROM transfer GROUP BY idempotency_key HAVING COUNT(*) > 1",
    "SELECT 'transfer ' || id || ' does not keep what was asked for' FROM transfer WHERE LENGTH(body_hash) <> 64",
    """SELECT 'transfer ' || t.id || ' has no effect' FROM transfer t
       WHERE NOT EXISTS (SELECT 1 FROM entry e WHERE e.transfer_id = t.id)""",
)
# Charges of an interval follow one another without gap or overlap up to settled_until; intervals of a VM do not
# overlap. So charged seconds are the measure of the union of its intervals.
_L8 = (
    """SELECT 'interval ' || i.id || ' is charged with a gap or overlap' FROM usage_interval i LEFT JOIN (
         SELECT interval_id, MIN(from_at) AS first, MAX(to_at) AS last, SUM(seconds) AS seconds,
                SUM(CASE WHEN from_at <> follows THEN 1 ELSE 0 END) AS breaks
         FROM (SELECT interval_id, from_at, to_at, seconds,
                      COALESCE(LAG(to_at) OVER (PARTITION BY interval_id ORDER BY from_at), from_at) AS follows
               FROM charge WHERE kind = 'usage') chain
         GROUP BY interval_id) c ON c.interval_id = i.id
       WHERE COALESCE(c.seconds, 0) <> i.settled_until - i.start_at OR c.breaks > 0
          OR c.first <> i.start_at OR c.last <> i.settled_until""",
    """SELECT 'interval ' || id || ' is not charged to its end' FROM usage_interval
       WHERE (settled AND (end_at IS NULL OR settled_until <> end_at)) OR (NOT settled AND end_at IS NOT NULL)""",
    "SELECT 'a charge of ' || interval_id || ' has wrong seconds' FROM charge "
    "WHERE kind = 'usage' AND seconds <> to_at - from_at",
    """SELECT 'intervals of ' || thing || ' overlap' FROM (
         SELECT thing, start_at, LAG(finish) OVER (PARTITION BY thing ORDER BY start_at, finish) AS before
         FROM (SELECT COALESCE(stored_id, vm_id) AS thing, start_at, COALESCE(end_at, 9999999999) AS finish
               FROM usage_interval) spans) chain
       WHERE before > start_at""",
    """SELECT 'minimum of ' || i.id || ' is not what was missing' FROM usage_interval i
       LEFT JOIN charge c ON c.interval_id = i.id AND c.kind = 'minimum'
       WHERE COALESCE(c.seconds, 0) <> CASE WHEN i.settled AND i.minimum_seconds > i.end_at - i.start_at
                                            THEN i.minimum_seconds - (i.end_at - i.start_at) ELSE 0 END""",
)
_L12 = (
    """SELECT 'refund ' || t.id || ' differs from its parts' FROM transfer t
       LEFT JOIN (SELECT transfer_id, SUM(amount) AS total FROM refund GROUP BY transfer_id) r ON r.transfer_id = t.id
       LEFT JOIN entry e ON e.transfer_id = t.id AND e.account_id = 'wallet_' || t.owner_id
       WHERE t.kind = 'refund' AND COALESCE(r.total, 0) <> COALESCE(e.amount, 0)""",
    """SELECT 'more of a charge of ' || c.interval_id || ' is refunded than was charged' FROM charge c
       JOIN (SELECT interval_id, from_at, kind, SUM(amount) AS total FROM refund GROUP BY interval_id, from_at, kind) r
         ON r.interval_id = c.interval_id AND r.from_at = c.from_at AND r.kind = c.kind
       WHERE r.total > c.amount""",
    """SELECT 'sums of day ' || day || ' differ from the ledger' FROM (
         SELECT day, kind, account, amount, entries FROM ledger_day
         UNION ALL
         SELECT t.at / 86400000000, t.kind, a.kind, -e.amount, -1 FROM transfer t
         JOIN entry e ON e.transfer_id = t.id JOIN account a ON a.id = e.account_id
         WHERE t.at < (SELECT (MAX(day) + 1) * 86400000000 FROM ledger_day)) both_sides
       GROUP BY day, kind, account HAVING SUM(amount) <> 0 OR SUM(entries) <> 0""",
)
_HALF_EVEN = """(i.rate_micro_per_hour * c.seconds) / 3600 + CASE
         WHEN (i.rate_micro_per_hour * c.seconds) % 3600 * 2 > 3600 THEN 1
         WHEN (i.rate_micro_per_hour * c.seconds) % 3600 * 2 = 3600
          AND (i.rate_micro_per_hour * c.seconds) / 3600 % 2 = 1 THEN 1 ELSE 0 END"""


def _numbers(key: str, table: str) -> str:
    """Versions are numbered 1, 2, 3 …"""
    return f"""SELECT 'prices of ' || {key} || ' are not numbered in order' FROM (
         SELECT {key}, number, ROW_NUMBER() OVER (PARTITION BY {key} ORDER BY number) AS n FROM {table}) chain
       WHERE number <> n"""  # noqa: S608 - names of our own


def _ahead(key: str, table: str) -> str:
    """None begins before it was written: nobody can have been charged otherwise."""
    return f"""SELECT 'a price of ' || {key} || ' begins before it was written' FROM {table}
       WHERE starts_at < created_at AND starts_at > 0"""  # noqa: S608 - names of our own


_L13 = (
    f"SELECT 'charge of ' || i.id || ' is not rate times seconds' FROM charge c "  # noqa: S608 - constants only
    f"JOIN usage_interval i ON i.id = c.interval_id WHERE c.amount <> {_HALF_EVEN}",
    """SELECT 'interval ' || i.id || ' has another rate than its price version' FROM usage_interval i
       JOIN price_version p ON p.id = i.price_version_id
       LEFT JOIN image_price_version s ON s.id = i.image_price_version_id
       WHERE i.stored_id IS NULL AND CASE WHEN i.state = 'running'
                  THEN i.rate_micro_per_hour <> p.running_micro_per_hour + COALESCE(s.micro_per_hour, 0)
                  WHEN p.disk_micro_per_gib_hour = 0 THEN i.rate_micro_per_hour <> 0
                  ELSE i.rate_micro_per_hour % p.disk_micro_per_gib_hour <> 0 END""",
    """SELECT 'interval ' || i.id || ' has another rate than what is stored' FROM usage_interval i
       LEFT JOIN stored s ON s.id = i.stored_id LEFT JOIN storage_price p ON p.id = s.price_id
       WHERE i.stored_id IS NOT NULL AND (s.id IS NULL OR s.kind <> i.state OR s.kind <> p.kind
         OR s.rate_micro_per_hour <> s.gib * p.micro_per_gib_hour OR i.rate_micro_per_hour <> s.rate_micro_per_hour)""",
    "SELECT 'charge of ' || interval_id || ' crosses an hour' FROM charge "
    "WHERE kind = 'usage' AND (to_at - 1) / 3600 <> from_at / 3600",
    _numbers("size_id", "price_version"),
    _ahead("size_id", "price_version"),
    _numbers("image_id", "image_price_version"),
    _ahead("image_id", "image_price_version"),
    _numbers("kind", "storage_price"),
    _ahead("kind", "storage_price"),
    # A change holds for an owner's VMs from a moment on: nothing is charged past it at a price from before.
    """SELECT 'interval ' || i.id || ' was charged at the old price' FROM price_told t
       JOIN price_change c ON c.id = t.change_id AND c.withdrawn_at IS NULL
       JOIN usage_interval i ON i.owner_id = t.owner_id AND i.settled_until > t.effective_at AND i.stored_id IS NULL
       JOIN price_version p ON p.id = i.price_version_id
       JOIN price_version n ON n.change_id = t.change_id AND n.size_id = p.size_id
       WHERE n.starts_at > p.starts_at OR (n.starts_at = p.starts_at AND n.number > p.number)""",
    """SELECT 'interval ' || i.id || ' was charged at the old surcharge' FROM price_told t
       JOIN price_change c ON c.id = t.change_id AND c.withdrawn_at IS NULL
       JOIN usage_interval i ON i.owner_id = t.owner_id AND i.settled_until > t.effective_at AND i.state = 'running'
       JOIN vm ON vm.id = i.vm_id
       JOIN image_price_version n ON n.change_id = t.change_id AND n.image_id = vm.image_id
       LEFT JOIN image_price_version s ON s.id = i.image_price_version_id
       WHERE s.id IS NULL OR n.starts_at > s.starts_at OR (n.starts_at = s.starts_at AND n.number > s.number)""",
    """SELECT 'transfer ' || t.id || ' differs from its charges' FROM transfer t
       LEFT JOIN (SELECT transfer_id, SUM(amount) AS total FROM charge GROUP BY transfer_id) c ON c.transfer_id = t.id
       LEFT JOIN entry e ON e.transfer_id = t.id AND e.account_id = 'acc_revenue'
       LEFT JOIN entry p ON p.transfer_id = t.id AND p.account_id = 'acc_promo_used'
       WHERE (t.kind = 'usage' OR c.total IS NOT NULL)
         AND (c.total IS NULL OR c.total <> COALESCE(e.amount, 0) + COALESCE(p.amount, 0))""",
    """SELECT 'monthly sums of ' || vm_id || ' differ from its charges' FROM (
         SELECT vm_id, state, project_id, owner_id, amount, seconds FROM usage_month
         UNION ALL
         SELECT i.vm_id, i.state, i.project_id, i.owner_id, -c.amount,
                CASE WHEN c.kind = 'usage' THEN -c.seconds ELSE 0 END
         FROM charge c JOIN usage_interval i ON i.id = c.interval_id) both_sides
       GROUP BY vm_id, state, project_id, owner_id HAVING SUM(amount) <> 0 OR SUM(seconds) <> 0""",
    """SELECT 'month ' || month || ' of project ' || project_id || ' differs from that of its VMs' FROM (
         SELECT project_id, owner_id, month, amount FROM project_month
         UNION ALL SELECT project_id, owner_id, month, -amount FROM usage_month) both_sides
       GROUP BY project_id, owner_id, month HAVING SUM(amount) <> 0""",
)
# Statements of one account follow one another, and together have every charge and credit that the last one knows.
_STATEMENTS = (
    """SELECT 'statement ' || number || ' does not follow from the one before' FROM (
         SELECT number, opening, COALESCE(LAG(closing) OVER (PARTITION BY owner_id ORDER BY month), 0) AS before
         FROM statement) chain
       WHERE opening <> before""",
    """SELECT 'statements of ' || s.owner_id || ' do not have all charges' FROM (
         SELECT owner_id, MAX(end_at) AS until, MAX(last_seq) AS last_seq, SUM(charged) AS charged
         FROM statement GROUP BY owner_id) s
       WHERE s.charged <> (SELECT COALESCE(SUM(c.amount), 0) FROM charge c JOIN transfer t ON t.id = c.transfer_id
                           WHERE c.owner_id = s.owner_id AND c.from_at < s.until AND t.seq <= s.last_seq)""",
)
_L14 = (
    """SELECT 'running interval ' || i.id || ' has ' || COUNT(h.id) || ' holds' FROM usage_interval i
       LEFT JOIN hold h ON h.interval_id = i.id AND h.closed_at IS NULL
       WHERE i.end_at IS NULL AND i.state = 'running' GROUP BY i.id HAVING COUNT(h.id) <> 1""",
    """SELECT 'hold ' || h.id || ' is on an interval that does not run' FROM hold h
       JOIN usage_interval i ON i.id = h.interval_id
       WHERE h.closed_at IS NULL AND (i.end_at IS NOT NULL OR i.state <> 'running')""",
    """SELECT 'hold ' || h.id || ' belongs to no start' FROM hold h JOIN vm v ON v.id = h.vm_id
       WHERE h.closed_at IS NULL AND h.interval_id IS NULL
         AND v.state NOT IN ('creating', 'starting', 'stopping', 'resizing', 'reverting',
                             'recovering', 'rebuilding', 'rescuing')""",
    """SELECT 'running interval ' || i.id || ' belongs to a VM that is ' || v.state FROM usage_interval i
       JOIN vm v ON v.id = i.vm_id
       WHERE i.end_at IS NULL AND i.state = 'running' AND v.state IN ('stopped', 'binned', 'deleted')""",
)
_L15 = (
    """SELECT 'starting credits of ' || owner_id || ' were given ' || COUNT(*) || ' times' FROM transfer
       WHERE idempotency_key LIKE 'starting:%' GROUP BY owner_id HAVING COUNT(*) > 1""",
    """SELECT 'grant ' || t.id || ' reached ' || COUNT(e.account_id) || ' wallets' FROM transfer t
       LEFT JOIN entry e ON e.transfer_id = t.id AND e.account_id = 'wallet_' || t.owner_id
       WHERE t.kind = 'grant' GROUP BY t.id HAVING COUNT(e.account_id) <> 1""",
    """SELECT 'voucher ' || v.id || ' was redeemed ' || COUNT(r.user_id) || ' times and counts ' || v.used
       FROM voucher v LEFT JOIN voucher_redemption r ON r.voucher_id = v.id
       GROUP BY v.id, v.used, v.uses HAVING COUNT(r.user_id) <> v.used OR v.used > v.uses""",
    """SELECT 'redemption of ' || r.voucher_id || ' by ' || r.user_id || ' did not bring its value'
       FROM voucher_redemption r JOIN voucher v ON v.id = r.voucher_id
       LEFT JOIN transfer t ON t.id = r.transfer_id AND t.kind = 'voucher' AND t.owner_id = r.user_id
       LEFT JOIN entry e ON e.transfer_id = t.id AND e.account_id = 'wallet_' || r.user_id
       WHERE COALESCE(e.amount, -1) <> v.value""",
    """SELECT 'transfer ' || t.id || ' belongs to no redeemed voucher' FROM transfer t
       LEFT JOIN voucher_redemption r ON r.transfer_id = t.id WHERE t.kind = 'voucher' AND r.voucher_id IS NULL""",
)
_HELD = (
    """SELECT 'holds of ' || a.owner_id || ' differ from what is held' FROM account a
       LEFT JOIN (SELECT owner_id, SUM(remaining) AS total FROM hold WHERE closed_at IS NULL GROUP BY owner_id) h
         ON h.owner_id = a.owner_id
       WHERE a.kind = 'held' AND a.balance <> COALESCE(h.total, 0)""",
)


# Promotional credit: every piece is given once, and used or expired or left; wallets know how much of them it is.
_L17 = (
    """SELECT 'promotion ' || p.id || ' differs from what was used of it' FROM promotion p
       LEFT JOIN (SELECT promotion_id, SUM(amount) AS used FROM promotion_use GROUP BY promotion_id) u
         ON u.promotion_id = p.id
       WHERE p.remaining <> p.amount - COALESCE(u.used, 0)""",
    """SELECT 'wallet of ' || a.owner_id || ' differs from its promotions' FROM account a
       LEFT JOIN (SELECT owner_id, SUM(remaining) AS remaining FROM promotion WHERE remaining > 0 GROUP BY owner_id) p
         ON p.owner_id = a.owner_id
       WHERE a.promo <> CASE WHEN a.kind = 'wallet' THEN COALESCE(p.remaining, 0) ELSE 0 END""",
    """SELECT 'promotions of ' || w.owner_id || ' are more than there is' FROM account w
       JOIN account h ON h.owner_id = w.owner_id AND h.kind = 'held'
       WHERE w.kind = 'wallet' AND w.promo > w.balance + h.balance""",
    """SELECT 'promotion ' || p.id || ' did not bring its amount' FROM promotion p
       LEFT JOIN transfer t ON t.id = p.transfer_id AND t.owner_id = p.owner_id
       LEFT JOIN entry e ON e.transfer_id = t.id AND e.account_id = 'acc_promotions'
       WHERE p.amount <> -COALESCE(e.amount, 0)""",
    """SELECT 'transfer ' || e.transfer_id || ' gave what is no promotion' FROM entry e
       LEFT JOIN promotion p ON p.transfer_id = e.transfer_id
       WHERE e.account_id = 'acc_promotions' AND p.id IS NULL""",
    """SELECT 'transfer ' || transfer_id || ' used other promotions than it says' FROM (
         SELECT e.transfer_id, e.amount FROM entry e WHERE e.account_id IN ('acc_promo_used', 'acc_expired')
         UNION ALL SELECT u.transfer_id, -u.amount FROM promotion_use u) both_sides
       GROUP BY transfer_id HAVING SUM(amount) <> 0""",
    """SELECT 'promotion ' || p.id || ' was used by another person' FROM promotion p
       JOIN promotion_use u ON u.promotion_id = p.id JOIN transfer t ON t.id = u.transfer_id
       WHERE t.owner_id <> p.owner_id""",
)


# Receipts: a number each, none left out; what they say of a payment is what was paid, tax included.
_L18 = (
    """SELECT 'numbers of ' || kind || ' ' || year || ' have a gap' FROM (
         SELECT kind, year, number, ROW_NUMBER() OVER (PARTITION BY kind, year ORDER BY number) AS n FROM receipt) chain
       WHERE number <> n""",
    """SELECT 'the last number of ' || s.kind || ' ' || s.year || ' is not ' || s.last FROM receipt_series s
       WHERE s.last <> (SELECT COUNT(*) FROM receipt r WHERE r.kind = s.kind AND r.year = s.year)""",
    """SELECT 'receipt ' || r.id || ' differs from its payment' FROM receipt r JOIN payment p ON p.id = r.payment_id
       WHERE r.kind = 'receipt' AND (r.tax_minor <> p.tax_minor OR r.net_minor + r.tax_minor <> p.minor)""",
    """SELECT 'payment ' || payment_id || ' has ' || COUNT(*) || ' receipts' FROM receipt
       WHERE kind = 'receipt' GROUP BY payment_id HAVING COUNT(*) > 1""",
    """SELECT 'credit notes of ' || p.id || ' differ from what was refunded' FROM payment p
       JOIN receipt r ON r.payment_id = p.id AND r.kind = 'receipt'
       LEFT JOIN (SELECT payment_id, SUM(net_minor + tax_minor) AS gross, SUM(tax_minor) AS tax FROM receipt
                  WHERE kind = 'credit_note' GROUP BY payment_id) n ON n.payment_id = p.id
       WHERE COALESCE(n.gross, 0) <> p.refunded_minor
          OR COALESCE(n.tax, 0) <> CASE WHEN p.refunded_minor >= p.minor THEN p.tax_minor
                                        ELSE p.tax_minor * p.refunded_minor / p.minor END""",
)


Look = Callable[[Session], Iterable[str]]


@dataclass(frozen=True, slots=True)
class _Rule:
    """``queries`` and ``looks`` find breaches; a rule without any can only be shown by a test."""

    id: str
    title: str
    queries: tuple[str, ...] = ()
    looks: tuple[Look, ...] = ()


def run_checks(session: Session, more: Mapping[str, tuple[Look, ...]] | None = None) -> list[Check]:
    """Every rule below on one snapshot: whether it holds, the first breaches, and how long it took.

    ``more``: further looks by the rule's id, of what lies above the ledger.
    """
    looks = more or {}
    return [_check(session, rule, (*rule.looks, *looks.get(rule.id, ()))) for rule in RULES]


def _check(session: Session, rule: _Rule, looks: tuple[Look, ...]) -> Check:
    if not rule.queries and not looks:
        return Check(rule.id, rule.title, True, "by test only", 0, live=False)
    started = time.perf_counter()
    breaches: list[str] = []
    for query in rule.queries:
        # A plain LIMIT makes PostgreSQL choose plans for a first row that never comes: minutes instead of seconds.
        limited = f"WITH breach AS MATERIALIZED ({query}) SELECT * FROM breach LIMIT {_SHOWN}"  # noqa: S608 - constants
        breaches += [str(breach) for (breach,) in session.execute(text(limited))]
    for look in looks:
        breaches += islice(look(session), _SHOWN)
    milliseconds = round((time.perf_counter() - started) * 1000)
    return Check(rule.id, rule.title, not breaches, "; ".join(breaches[:_SHOWN]) or "no breach", milliseconds)


def _missing_triggers(session: Session) -> list[str]:
    """L4: tables that nothing in the database keeps from being changed."""
    guarded: set[tuple[str, str]] = set()
    if session.get_bind().dialect.name == "sqlite":
        for table, sql in session.execute(text("SELECT tbl_name, sql FROM sqlite_master WHERE type = 'trigger'")):
            head = sql.upper().split("BEGIN")[0]
            guarded |= {(table, verb) for verb in ("UPDATE", "DELETE") if f"BEFORE {verb}" in head and "RAISE" in sql}
    else:
        rows = session.execute(
            text(
                "SELECT c.relname, t.tgtype FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid "
                "WHERE NOT t.tgisinternal AND t.tgenabled IN ('O', 'A')"
            )
        )
        for table, kind in rows:  # bits of tgtype: 2 before, 8 delete, 16 update
            guarded |= {(table, verb) for verb, bit in (("DELETE", 8), ("UPDATE", 16)) if kind & 2 and kind & bit}
    wanted = [(table, verb) for table in APPEND_ONLY for verb in ("UPDATE", "DELETE")]
    return [f"{verb} of {table} is not refused" for table, verb in wanted if (table, verb) not in guarded]


def _wrong_cuts(session: Session) -> list[str]:
    """L13: charges that end neither at a whole hour, nor at a month boundary, nor with their interval; or cross one.

    Only zones whose months do not begin at whole UTC hours need a look at single charges.
    """
    breaches = []
    odd_ends = session.execute(
        select(CHARGE.c.interval_id, CHARGE.c.from_at, CHARGE.c.to_at, INTERVAL.c.time_zone)
        .join(INTERVAL, INTERVAL.c.id == CHARGE.c.interval_id)
        .where(
            CHARGE.c.kind == "usage",
            text("charge.to_at % 3600 <> 0"),
            INTERVAL.c.end_at.is_(None) | (INTERVAL.c.end_at != CHARGE.c.to_at),
        )
    )
    for interval_id, start, end, zone in odd_ends:
        if end != next_month_start(start, zone):
            breaches.append(f"a charge of {interval_id} ends at no fixed cut")
    spans = session.execute(
        text("SELECT time_zone, MIN(start_at), MAX(settled_until) FROM usage_interval GROUP BY time_zone")
    )
    for zone, first, last in spans:
        boundary = next_month_start(EPOCH + timedelta(seconds=first), zone)
        while (moment := (boundary - EPOCH) // timedelta(seconds=1)) < last:
            breaches += _crossing(session, zone, moment) if moment % 3600 else []
            boundary = next_month_start(boundary, zone)
    return breaches


def _crossing(session: Session, zone: str, moment: int) -> list[str]:
    rows = session.execute(
        text(
            "SELECT c.interval_id FROM charge c JOIN usage_interval i ON i.id = c.interval_id "
            "WHERE i.time_zone = :zone AND c.from_at < :moment AND c.to_at > :moment"
        ),
        {"zone": zone, "moment": moment},
    )
    return [f"a charge of {interval_id} crosses a month" for (interval_id,) in rows]


RULES = (
    _Rule("L1", kept("All entries sum to zero, in every transfer"), _L1),
    _Rule("L2", kept("Balances follow from entries, without gaps"), _L2),
    _Rule("L3", kept("No wallet or held account is or was below zero"), _L3),
    _Rule("L4", kept("Entries, charges, prices and events cannot be changed"), (), (_missing_triggers,)),
    _Rule("L5", kept("No float in a money path")),
    _Rule("L6", kept("The same key: the same result, one effect")),
    _Rule("L7", kept("A payment's webhook has one effect, or none")),
    _Rule("L8", kept("Charged seconds are the seconds used: no gap, no overlap"), _L8),
    _Rule("L9", kept("However often the biller runs, the result is one")),
    _Rule("L10", kept("Killed anywhere, nothing is charged twice and nothing lost")),
    _Rule("L11", kept("The order of different people's commands changes no balance")),
    _Rule("L12", kept("Shown lines sum to the shown total"), _L12),
    _Rule(
        "L13",
        kept("Charges, months and statements replay from intervals and prices"),
        _L13 + _STATEMENTS,
        (_wrong_cuts,),
    ),
    _Rule("L14", kept("Every running VM has one hold, every other hold a start; holds are what is held"), _L14 + _HELD),
    _Rule("L15", kept("Keys, starting credits, grants and vouchers worked once"), _KEYS + _L15),
    _Rule("L16", kept("Stopped for lack of credit: only what ledger, policy and clock say")),
    _Rule("L17", kept("Promotional credit is used, expired or left, and no more than there is"), _L17),
    _Rule("L18", kept("Receipts have a number each, and say what was paid and given back, with its tax"), _L18),
)
