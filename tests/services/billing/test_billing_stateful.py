"""Random lives of people and VMs against a plain model; all invariants about state after every step."""

import contextlib
import shutil
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy import event, select, text

from tests.services.billing_model import Machine, Payment, month_starts, price, seconds
from tests.services.billing_world import World, sqlite_copy
from zentry_web.adapters.clock import ManualClock
from zentry_web.domain.credits.billing import AccountKind
from zentry_web.domain.credits.payments import Dispute, DisputeState, PaymentNews, PaymentState
from zentry_web.domain.credits.storage import GIB, NewStored, StoredKind
from zentry_web.domain.credits.voucher import VoucherDraft
from zentry_web.models import DbCharge, DbUsageInterval
from zentry_web.services.base_service import Core
from zentry_web.services.errors import InsufficientCreditsError, ServiceError

pytestmark = pytest.mark.integration

START = datetime(2026, 11, 30, 16, 40, 30, tzinfo=UTC)  # before a month ends in Kolkata and in UTC
ZONES = {"alice": "Asia/Kolkata", "bob": "UTC"}
LAGS = st.integers(-3, 90).map(lambda lag: timedelta(seconds=lag))
PICK = st.integers(0, 9)


# Usage that own credits paid while promotions had something left: what they were, less what was used up to it.
PAID_TOO_EARLY = text(
    """SELECT t.id FROM transfer t JOIN entry r ON r.transfer_id = t.id AND r.account_id = 'acc_revenue'
       LEFT JOIN entry w ON w.transfer_id = t.id AND w.account_id = 'acc_write_off'
       WHERE t.kind = 'usage' AND r.amount + COALESCE(w.amount, 0) > 0 AND
         (SELECT COALESCE(SUM(p.amount), 0) FROM promotion p JOIN transfer g ON g.id = p.transfer_id
          WHERE p.owner_id = t.owner_id AND g.seq < t.seq) >
         (SELECT COALESCE(SUM(u.amount), 0) FROM promotion_use u JOIN promotion p ON p.id = u.promotion_id
          JOIN transfer s ON s.id = u.transfer_id WHERE p.owner_id = t.owner_id AND s.seq <= t.seq)"""
)


class Crash(Exception):
    """The process is gone."""


class Billing(RuleBasedStateMachine):
    template = Path()

    @initialize()
    def begin(self):
        self.folder = Path(tempfile.mkdtemp(prefix="zentry-model-"))
        self.world = World(Core(sqlite_copy(self.template, self.folder), ManualClock(START)))
        self.vms, self.machines, self.vouchers = [], [], []
        self.payments = []
        self.stored = []  # (id, vm's place, model)
        self.promoted = 0
        self.given = {"alice": 0, "bob": 0}
        for owner, zone in ZONES.items():
            self.world.person(owner, credits=0, zone=zone)
            self.world.project(owner, f"p_{owner}_2")
            self.give(owner, 40_000)
            self.launch(owner, "micro" if owner == "alice" else "nano")
            self.order(owner, 30_000, 3)
        for number in range(2):
            self.start(number, timedelta(0), True)

    def teardown(self):
        self.world.database.dispose()
        shutil.rmtree(self.folder)

    def _pick(self, number):
        index = number % len(self.vms)
        return self.vms[index], self.machines[index]

    # -- what people and drivers do -------------------------------------------------------------

    @rule(owner=st.sampled_from(sorted(ZONES)), size=st.sampled_from(["nano", "micro", "large"]))
    def launch(self, owner, size):
        if len(self.vms) < 6:
            vm = self.world.vm(owner, size=size)
            rates = {"running": vm.running_micro_per_hour, "stopped": vm.stopped_micro_per_hour}
            self.vms.append(vm)
            self.machines.append(Machine(owner, rates, month_starts(ZONES[owner])))

    @rule(number=PICK, lag=LAGS, by_person=st.booleans())
    def start(self, number, lag, by_person):
        vm, machine = self._pick(number)
        moment = self.world.clock.now() - lag
        running = machine.open is not None and machine.open.state == "running"
        if not running and self.world.wallet(vm.owner_id) < vm.running_micro_per_hour:
            with pytest.raises(InsufficientCreditsError):
                self.world.start(vm, moment, by_person=by_person)
            return
        self.world.start(vm, moment, by_person=by_person)
        machine.change("running", seconds(moment), by_person)

    @rule(number=PICK, lag=LAGS)
    def stop(self, number, lag):
        vm, machine = self._pick(number)
        moment = self.world.clock.now() - lag
        if machine.stretches:
            self.world.stop(vm, moment)
            machine.change("stopped", seconds(moment))

    @rule(number=PICK, lag=LAGS)
    def delete(self, number, lag):
        vm, machine = self._pick(number)
        moment = self.world.clock.now() - lag
        self.world.delete(vm, moment)
        machine.finish(seconds(moment))
        for _, model in self._stored_of(number):
            model.finish(seconds(moment))

    @rule(number=PICK, gib=st.integers(1, 900))
    def store(self, number, gib):
        """A snapshot of a machine."""
        vm, _ = self._pick(number)
        if len(self.stored) == 5:
            return
        stored_id = f"snap_{len(self.stored)}"
        with self.world.billing.transaction() as session:
            thing = NewStored(stored_id, StoredKind.SNAPSHOT, vm.vm_id, vm.owner_id, vm.project_id, "s", gib * GIB)
            self.world.billing.storage.begin(session, thing, self.world.event())
        model = Machine(vm.owner_id, {"snapshot": gib * 60}, month_starts(ZONES[vm.owner_id]))
        model.change("snapshot", seconds(self.world.clock.now()))
        self.stored.append((stored_id, number % len(self.vms), model))

    @rule(number=PICK)
    def forget(self, number):
        if not self.stored:
            return
        stored_id, _, model = self.stored[number % len(self.stored)]
        with self.world.billing.transaction() as session:
            self.world.billing.storage.end(session, [stored_id], self.world.event())
        model.finish(seconds(self.world.clock.now()))

    def _stored_of(self, number):
        return [(stored_id, model) for stored_id, place, model in self.stored if place == number % len(self.vms)]

    @rule(owner=st.sampled_from(sorted(ZONES)), amount=st.integers(1, 500_000))
    def give(self, owner, amount):
        self.world.billing.add_credits(owner, amount, "gift")
        self.given[owner] += amount

    @rule(owner=st.sampled_from(sorted(ZONES)), amount=st.integers(1, 60_000), hours=st.sampled_from([0, 1, 2, 30]))
    def promote(self, owner, amount, hours):
        """Promotional credit, that ends some hours from now or never (0)."""
        end = self.world.clock.now() + timedelta(hours=hours) if hours else None
        self.world.billing.promote(owner, amount, "spring", expires_at=end)
        self.given[owner] += amount
        self.promoted += amount

    @rule(owner=st.sampled_from(sorted(ZONES)), amount=st.integers(1, 100_000))
    def take(self, owner, amount):
        balance = self.world.billing.get_balance(owner)
        own = balance.wallet_micro + balance.held_micro - sum(each.left_micro for each in balance.promotions)
        if min(balance.wallet_micro, own) < amount:
            with pytest.raises(InsufficientCreditsError):
                self.world.billing.deduct_credits(owner, amount, "taken back")
            return
        self.world.billing.deduct_credits(owner, amount, "taken back")
        self.given[owner] -= amount

    @rule(number=PICK, size=st.sampled_from(["nano", "micro", "large"]), lag=LAGS)
    def resize(self, number, size, lag):
        vm, machine = self._pick(number)
        moment = self.world.clock.now() - lag
        self.vms[number % len(self.vms)] = bigger = self.world.resize(vm, size, moment)
        rates = {"running": bigger.running_micro_per_hour, "stopped": bigger.stopped_micro_per_hour}
        machine.resize(rates, seconds(moment))

    @rule(number=PICK, lag=LAGS)
    def move(self, number, lag):
        """To and fro between two projects."""
        vm, machine = self._pick(number)
        moment = self.world.clock.now() - lag
        other = f"p_{vm.owner_id}" if vm.project_id.endswith("_2") else f"p_{vm.owner_id}_2"
        self.vms[number % len(self.vms)] = self.world.move(vm, other, moment)
        machine.move(seconds(moment))
        for _, model in self._stored_of(number):
            if model.open:
                model.change("snapshot", seconds(self.world.clock.now()))

    @rule(value=st.integers(1, 50_000), uses=st.integers(1, 2), promo_days=st.sampled_from([None, None, 0, 1]))
    def make_voucher(self, value, uses, promo_days):
        (voucher,) = self.world.billing.vouchers.create(VoucherDraft(value, uses=uses, promo_days=promo_days))
        self.vouchers.append([voucher.code, value, uses, set(), promo_days])

    @rule(number=PICK, owner=st.sampled_from(sorted(ZONES)))
    def redeem(self, number, owner):
        if not self.vouchers:
            return
        code, value, uses, owners, promo_days = voucher = self.vouchers[number % len(self.vouchers)]
        if uses == len(owners) or owner in owners:
            with contextlib.suppress(ServiceError):  # refused, or told again what was done
                self.world.billing.vouchers.redeem(owner, code)
            return
        self.world.billing.vouchers.redeem(owner, code)
        voucher[3].add(owner)
        self.given[owner] += value
        self.promoted += value if promo_days is not None else 0

    @rule(size=st.sampled_from(["nano", "micro", "large"]), running=st.integers(1, 300_000), disk=st.integers(0, 300))
    def publish(self, size, running, disk):
        with contextlib.suppress(ServiceError):  # a clock that was set back: not before the price before it
            self.world.publish(size, running, disk)

    @rule(owner=st.sampled_from(sorted(ZONES)), amount=st.integers(1, 90_000), minor=st.integers(1, 7))
    def order(self, owner, amount, minor):
        payment = self.world.payment(owner, amount, minor)
        self.payments.append((payment, Payment(owner, amount, minor)))

    @rule(number=PICK, told=st.sampled_from(["paid", "refund", "dispute", "won"]), minor=st.integers(1, 7))
    def hear(self, number, told, minor):
        """News of a payment, as often and in whatever order."""
        if not self.payments:
            return
        payment, model = self.payments[number % len(self.payments)]
        facts, minor = {}, min(minor, model.minor)
        if told == "paid":
            facts["state"], model.paid = PaymentState.SUCCEEDED, True
        elif told == "refund":
            facts["refunded_minor"] = minor
            model.refunded = max(model.refunded, minor)
        else:
            state = DisputeState.WON if told == "won" else DisputeState.OPEN
            model.disputed = model.disputed or minor
            model.won = model.won or told == "won"
            facts["dispute"] = Dispute(f"dp_{payment}", minor, state)
        self.world.hear(PaymentNews(f"ref_{payment}", payment, **facts), f"{payment}:{told}:{minor}")

    # -- time and the worker --------------------------------------------------------------------

    @rule(step=st.sampled_from([7_201, 1, 17, 600, 1_800, 3_600, 90_000, -1, -4_000]))
    def pass_time(self, step):
        self.world.pass_time(seconds=step)

    @rule(times=st.integers(1, 2), behind=st.sampled_from([0, 0, 100, 5_000]))
    def settle(self, times, behind):
        confirmed = self.world.clock.now() - timedelta(seconds=behind)
        for _ in range(times):
            self._settle(confirmed)

    def _models(self):
        return [*self.machines, *(model for *_, model in self.stored)]

    def _settle(self, confirmed):
        self.world.settle(confirmed)
        for machine in self._models():
            # A new hour makes an interval due; a month that ends within an hour waits for the hour.
            if machine.open and machine.settled < seconds(confirmed) // 3600 * 3600:
                machine.settle(seconds(confirmed))

    @rule(nth=st.integers(1, 25))
    def crash(self, nth):
        """The worker dies at some statement while it settles or renews; the next one does it again, from the start."""
        countdown = [nth]

        def count(_connection, _cursor, statement, *_rest):
            countdown[0] -= 0 if statement.startswith(("BEGIN", "SELECT", "PRAGMA")) else 1
            if countdown[0] == 0:
                raise Crash

        event.listen(self.world.database.engine, "before_cursor_execute", count)
        try:
            with contextlib.suppress(Crash):
                self.world.settle()
                self.world.billing.runs.renew_holds()
        finally:
            event.remove(self.world.database.engine, "before_cursor_execute", count)
        assert self.world.breaches() == []
        self._settle(self.world.clock.now())

    @rule()
    def renew(self):
        now = self.world.clock.now()
        stops = self.world.billing.runs.renew_holds()
        assert stops == self.world.billing.runs.renew_holds()
        assert all(stop.ends_at < now + timedelta(minutes=30) for stop in stops)

    # -- what must always hold ------------------------------------------------------------------

    @invariant()
    def charges_are_those_of_the_model(self):
        query = select(
            DbUsageInterval.state, DbCharge.kind, DbCharge.from_at, DbCharge.to_at, DbCharge.seconds, DbCharge.amount
        ).join(DbUsageInterval, DbUsageInterval.id == DbCharge.interval_id)
        for vm, machine in zip(self.vms, self.machines, strict=True):
            own = DbCharge.vm_id == vm.vm_id, DbUsageInterval.stored_id.is_(None)
            rows = self.world.rows(query.where(*own))
            made = sorted((row[0], row[1], seconds(row[2]), seconds(row[3]), row[4], row[5]) for row in rows)
            assert made == machine.charged()
        for stored_id, _, model in self.stored:
            rows = self.world.rows(query.where(DbUsageInterval.stored_id == stored_id))
            made = sorted((row[0], row[1], seconds(row[2]), seconds(row[3]), row[4], row[5]) for row in rows)
            assert made == model.charged()

    @invariant()
    def credits_are_given_or_used_or_written_off(self):
        owed = sum(amount for model in self._models() for *_, amount in model.charged())
        lost = -self.world.account(AccountKind.WRITE_OFF)
        have = sum(self.world.wallet(owner) + self.world.held(owner) for owner in ZONES)
        paid = sum(model.worth for _, model in self.payments)
        expired, by_promotions = (
            self.world.account(AccountKind.EXPIRED), self.world.account(AccountKind.PROMO_USED),
        )  # fmt: skip
        assert have == sum(self.given.values()) + paid - owed + lost - expired
        assert self.world.account(AccountKind.REVENUE) + by_promotions == owed
        left = sum(each.left_micro for owner in ZONES for each in self.world.billing.promotions.list_open(owner))
        assert self.promoted == -self.world.account(AccountKind.PROMOTIONS) == left + by_promotions + expired

    @invariant()
    def promotions_are_used_first(self):
        """A transfer takes what was paid for only where no promotion has anything left."""
        assert self.world.rows(PAID_TOO_EARLY) == []

    @invariant()
    def what_is_shown_is_current_to_the_second(self):
        now = seconds(self.world.clock.now())
        for owner in ZONES:
            balance = self.world.billing.get_balance(owner)
            burning = [machine for machine in self._models() if machine.owner == owner and machine.open]
            assert balance.burn_micro_per_hour == sum(machine.open.rate for machine in burning)
            assert balance.accrued_micro == sum(
                price(machine.open.rate, max(0, now - machine.settled)) for machine in burning
            )

    @invariant()
    def nothing_is_breached(self):
        assert self.world.breaches() == []


@pytest.mark.timeout(300)
def test_any_life_of_people_and_vms(migrated_sqlite):
    Billing.template = migrated_sqlite
    run_state_machine_as_test(
        Billing,
        settings=settings(
            max_examples=24,
            stateful_step_count=25,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
