"""A small world to bill in: people and VMs as rows, and the calls that VMService would make for them."""

from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from itertools import count
from types import SimpleNamespace

from sqlalchemy import select, text, update

from zentry_web.adapters.database import Database, make_engine
from zentry_web.domain.credits.billing import AccountKind, BilledVM, UsageState
from zentry_web.domain.credits.payments import CreditPrice, ProviderEvent
from zentry_web.domain.credits.usage import EPOCH
from zentry_web.domain.package_settings import BillingSettings
from zentry_web.domain.setting import SettingKey
from zentry_web.domain.user import SYSTEM
from zentry_web.models import DbAccount, DbCharge, DbHold, DbPriceVersion, DbProject, DbUsageInterval, DbUser, DbVM
from zentry_web.services.billing_service import BillingService

HOUR = 3600
DISK = 100  # micro-credits per GiB and hour that the sizes begin with
RUNNING, STOPPED = UsageState.RUNNING, UsageState.STOPPED
SIZES = {"nano": (5_000, 100), "micro": (15_000, 500), "small": (50_000, 2_000), "large": (200_000, 8_000)}


class World:
    """Billing on a database, with people and VMs that exist only as far as billing needs them."""

    def __init__(self, core, *, starting=5_000_000, window=HOUR):
        self.core, self.clock, self.database = core, core.clock, core.database
        settings = BillingSettings(
            hold_window_seconds=window,
            stop_timeout_seconds=60,
            price_notice_days=14,
            credit_price=CreditPrice("eur", 100),
            defaults={SettingKey.STARTING_CREDITS: starting},
        )
        self.billing = BillingService(core, settings)
        self._numbers = count(1)
        self.prices = {size: (f"price_{size}_1", *rates) for size, rates in SIZES.items()}

    # -- making ---------------------------------------------------------------------------------

    def person(self, name="alice", *, credits=5_000_000, zone="UTC"):
        """A person with a project and ``credits`` micro-credits; returns the id."""
        with self.billing.transaction() as session:
            session.add(
                DbUser(
                    id=name, email=f"{name}@example.com", email_key=name, name=name, password_hash=None,
                    role="user", time_zone=zone, created_at=self.clock.now(), disabled_at=None,
                )
            )  # fmt: skip
            session.flush()
            session.add(
                DbProject(
                    id=f"p_{name}",
                    owner_id=name,
                    name="main",
                    name_key="main",
                    created_at=self.clock.now(),
                    deleted_at=None,
                )
            )
            self.billing.open_accounts(name)
        if credits:
            self.billing.add_credits(name, credits, "for the test")
        return name

    def project(self, owner, project_id):
        """Another project of that person."""
        with self.billing.transaction() as session:
            session.add(
                DbProject(
                    id=project_id, owner_id=owner, name=project_id, name_key=project_id, created_at=self.clock.now(),
                    deleted_at=None,
                )
            )  # fmt: skip
            session.flush()

    def vm(self, owner="alice", *, size="nano", project=None):
        """A VM that has never run; returns what billing needs to know of it."""
        number = next(self._numbers)
        version, running, stopped = self.prices[size]
        billed = BilledVM(f"vm_{number}", owner, project or f"p_{owner}", version, running, stopped)
        with self.billing.transaction() as session:
            session.add(
                DbVM(
                    id=billed.vm_id, project_id=billed.project_id, owner_id=owner, name=f"web-{number}",
                    state="stopped", size_id=f"size_{size}", image_id="img_tiny",
                    price_version_id=billed.price_version_id, vcpus=1, memory_mib=128, disk_gib=SIZES[size][1] // DISK,
                    running_micro_per_hour=running,
                    stopped_micro_per_hour=stopped, ssh_key="", user_data="", created_at=self.clock.now(), version=1,
                )
            )  # fmt: skip
        return billed

    def publish(self, size, running, disk):
        """A price for what is launched or resized from now on; what there is keeps its own."""
        self.billing.price_list.publish(f"size_{size}", running, disk, actor=SYSTEM)
        newest = select(DbPriceVersion.id).where(DbPriceVersion.size_id == f"size_{size}")
        (version,) = self.rows(newest.order_by(DbPriceVersion.number.desc()).limit(1))[0]
        self.prices[size] = (version, running, disk * (SIZES[size][1] // DISK))

    def payment(self, owner, amount, minor):
        """A payment that the provider knows and nobody has heard of yet; returns its id."""
        self.billing.payments.provider = SimpleNamespace(name="test")
        with self.billing.transaction() as session:
            row = self.billing.payments.new_payment(
                session, owner_id=owner, idempotency_key=self.event(), is_automatic=False, amount_micro=amount,
                minor=minor, save_method=False, method_id=None, method_label="",
            )  # fmt: skip
            return row.id

    def hear(self, news, event_id):
        """A webhook is taken in."""
        told = ProviderEvent(event_id, "told", self.clock.now(), news, {})
        self.billing.payments.book.take_in("test", news, told)

    # -- what VMService does --------------------------------------------------------------------

    @contextmanager
    def changing(self, vm, state):
        """A transaction as VMService makes them: wallet first, then the VM."""
        with self.billing.transaction() as session:
            self.billing.wallets.lock(vm.owner_id)
            yield session
            session.execute(update(DbVM).where(DbVM.id == vm.vm_id).values(state=state))

    def event(self):
        return f"evt_{next(self._numbers)}"

    def accept(self, vm):
        """A start is accepted: its hold is placed."""
        with self.changing(vm, "starting"):
            self.billing.place_hold(vm.vm_id, vm.owner_id, vm.running_micro_per_hour)

    def run(self, vm, at=None, *, by_person=True):
        """The driver reports it running."""
        with self.changing(vm, "running"):
            self.billing.open_interval(
                vm, RUNNING, at or self.clock.now(), event_id=self.event(), has_minimum=by_person
            )

    def start(self, vm, at=None, *, by_person=True):
        """Accept and run in one go."""
        self.accept(vm)
        self.run(vm, at, by_person=by_person)

    def stop(self, vm, at=None):
        """The driver reports it off."""
        with self.changing(vm, "stopped"):
            self.billing.open_interval(vm, STOPPED, at or self.clock.now(), event_id=self.event())

    def resize(self, vm, size, at=None):
        """Another size; a run goes on in another interval. Returns what billing needs to know of the VM now."""
        version, running, stopped = self.prices[size]
        bigger = replace(vm, price_version_id=version, running_micro_per_hour=running, stopped_micro_per_hour=stopped)
        at = at or self.clock.now()
        with self.billing.transaction() as session:
            self.billing.wallets.lock(vm.owner_id)
            session.execute(
                update(DbVM)
                .where(DbVM.id == vm.vm_id)
                .values(
                    size_id=f"size_{size}",
                    disk_gib=SIZES[size][1] // DISK,
                    price_version_id=bigger.price_version_id,
                    running_micro_per_hour=running,
                    stopped_micro_per_hour=stopped,
                )
            )
            query = select(DbUsageInterval.state).where(
                DbUsageInterval.vm_id == vm.vm_id, DbUsageInterval.end_at.is_(None), DbUsageInterval.stored_id.is_(None)
            )
            state = session.scalars(query).one_or_none()
            if state:
                self.billing.open_interval(bigger, UsageState(state), at, event_id=self.event())
        return bigger

    def move(self, vm, project, at=None):
        """Into another project. Returns what billing needs to know of the VM now."""
        moved = replace(vm, project_id=project)
        with self.billing.transaction() as session:
            self.billing.wallets.lock(vm.owner_id)
            session.execute(update(DbVM).where(DbVM.id == vm.vm_id).values(project_id=project))
            self.billing.move_interval(moved, at or self.clock.now(), event_id=self.event())
        return moved

    def delete(self, vm, at=None):
        with self.changing(vm, "deleted"):
            self.billing.close_interval(vm.vm_id, at or self.clock.now(), event_id=self.event())

    def settle(self, confirmed=None):
        """As the worker does: what ended pays nothing that was used after its end."""
        self.billing.promotions.expire(confirmed or self.clock.now())
        return self.billing.runs.settle(confirmed or self.clock.now())

    def pass_time(self, **parts):
        return self.clock.advance(**parts)

    # -- looking --------------------------------------------------------------------------------

    def rows(self, query):
        with self.database.reading() as session:
            return list(session.execute(query))

    def account(self, kind, owner=None):
        """The balance of an account."""
        condition = DbAccount.owner_id == owner if owner else DbAccount.owner_id.is_(None)
        return self.rows(select(DbAccount.balance).where(DbAccount.kind == kind, condition))[0].balance

    def wallet(self, owner="alice"):
        return self.account(AccountKind.WALLET, owner)

    def held(self, owner="alice"):
        return self.account(AccountKind.HELD, owner)

    def charges(self, vm=None):
        """(kind, from, to, seconds, amount) of all charges, in order."""
        query = select(DbCharge.kind, DbCharge.from_at, DbCharge.to_at, DbCharge.seconds, DbCharge.amount)
        if vm:
            query = query.where(DbCharge.vm_id == vm.vm_id)
        return [tuple(row) for row in self.rows(query.order_by(DbCharge.vm_id, DbCharge.from_at, DbCharge.kind.desc()))]

    def seconds(self, vm=None):
        return [row[3] for row in self.charges(vm)]

    def intervals(self, vm):
        """(state, start, end) of a VM's intervals, in order."""
        query = select(DbUsageInterval.state, DbUsageInterval.start_at, DbUsageInterval.end_at)
        query = query.where(DbUsageInterval.vm_id == vm.vm_id)
        return [tuple(row) for row in self.rows(query.order_by(DbUsageInterval.start_at, DbUsageInterval.id))]

    def hold(self, vm):
        """The VM's open hold row, or None."""
        found = self.rows(select(DbHold).where(DbHold.vm_id == vm.vm_id, DbHold.closed_at.is_(None)))
        return found[0][0] if found else None

    def breaches(self):
        """What ``verify`` finds, as 'id: detail'."""
        return [f"{check.id}: {check.detail}" for check in self.billing.verify() if not check.ok]

    def damage(self, *statements, **values):
        """Change the database behind everybody's back, with its guards taken down."""
        with self.database.engine.begin() as connection:
            if self.database.is_sqlite:
                triggers = connection.execute(text("SELECT name FROM sqlite_master WHERE type = 'trigger'"))
                for (name,) in triggers.fetchall():
                    connection.execute(text(f"DROP TRIGGER {name}"))
            else:
                tables = (
                    "entry", "transfer", "charge", "price_version", "image_price_version", "event",
                    "voucher", "voucher_redemption", "statement", "refund", "approval", "promotion", "promotion_use",
                    "receipt", "storage_price",
                )  # fmt: skip
                for table in tables:
                    connection.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER USER"))
            for statement in statements:
                connection.execute(text(statement), values)


def epoch(moment):
    return (moment - EPOCH) // timedelta(seconds=1)


def sqlite_copy(template, folder):
    """A database on a copy of a migrated SQLite file."""
    target = folder / "zentry.sqlite"
    target.write_bytes((template / "zentry.sqlite").read_bytes())
    return Database(make_engine(f"sqlite:///{target}"))
