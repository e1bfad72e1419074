"""Everything of one person's that has an id, for tests in which somebody else tries these ids."""

from datetime import UTC, datetime, timedelta

from tests.conftest import PASSWORD
from tests.services.payment_world import Till
from tests.services.people import acting
from tests.services.second_factors import set_up_app
from zentry_web.adapters.compute.base import MachineSpec, PowerState
from zentry_web.domain.credits.billing import TransferKind
from zentry_web.domain.credits.prices import ItemKind, PriceItem
from zentry_web.domain.credits.taxes import BuyerKind, TaxRate
from zentry_web.domain.credits.voucher import VoucherDraft
from zentry_web.domain.ids import new_id
from zentry_web.domain.people.announcement import AnnouncementDraft
from zentry_web.domain.people.saved_view import ListKind
from zentry_web.domain.people.token import TokenScope
from zentry_web.domain.user import SYSTEM
from zentry_web.models import DbIdentity

EVER = datetime(2020, 1, 1, tzinfo=UTC), datetime(2030, 1, 1, tzinfo=UTC)
NOVEMBER = (datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC))
CREDIT = 1_000_000
PUBLIC_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ2mZ6rVjmbrtLQXwFYCPX4CDJcCkI8Ly8mSkMjO6CrH Gadget of hers"
# What no answer to somebody else may say.
# The last: the end of her public key.
TRACES = (
    *("web-1", "Website", "alice@example.com", "Alice", "dora@example.com", "Gadget of hers", "•••• 4242"),
    "DCJcCkI8Ly8mSkMjO6CrH",
)


class Estate:
    """Alice's project, machine, invitation, session, token, factor, card, payment, statement, interval, transfer; and
    what admins have: an approval, a voucher, a change of prices."""

    def __init__(self, cloud, alice, admin, project, machine):
        self.cloud, self.alice, self.project, self.machine = cloud, alice, project, machine
        self.container, self.me, boss = cloud.container, acting(alice), acting(admin)
        auth, billing = self.container.get_auth_service(), self.container.get_billing_service()
        invitations, till = self.container.get_project_service().invitations, Till(self.container, alice)
        card = till.kept()
        cloud.keep_deleted(30)
        self.binned = cloud.launch(alice, project, "web-1b")
        cloud.vms.delete_vm(self.binned.id, self.binned.name, actor=self.me)
        gone = cloud.project(alice, "Website of old")
        cloud.projects.delete_project(gone.id, actor=self.me)
        self.in_the_bin = {"vm_id": self.binned.id, "project_id": gone.id}
        cloud.worker.work()
        cloud.clock.set(datetime(2026, 12, 2, tzinfo=UTC))  # November becomes a statement
        cloud.round(3)
        cloud._biller._keep_house()
        invited = invitations.invite(project.id, {"email": "dora@example.com", "role": "viewer"}, actor=self.me)
        payment = till.start(10)
        signed_in = auth.login({"email": alice.email, "password": PASSWORD}, actor=self.me)
        self.app, _ = set_up_app(auth, alice, cloud.clock, session_token=signed_in.session_token)
        auth.tokens.create_personal(alice.id, "Gadget of hers", [TokenScope.VMS_READ.value], 30, actor=self.me)
        ssh_key = self.container.get_user_service().ssh_keys.add(alice.id, PUBLIC_KEY, actor=self.me)
        view = self.container.get_user_service().saved_views.save(
            alice.id, ListKind.VMS, "Gadgets of hers", "q=state%3Arunning", actor=self.me
        )
        asked = billing.add_credits(alice.id, 2000 * CREDIT, "Course", actor=boss, idempotency_key="k")
        (voucher,) = billing.vouchers.create(VoucherDraft(5 * CREDIT), actor=boss)
        item = PriceItem(ItemKind.SIZE, "size_nano", 15_000, 500)
        change = billing.price_changes.save_draft("Winter", datetime(2027, 2, 1, tzinfo=UTC), [item], actor=boss)
        tomorrow = cloud.clock.now() + timedelta(days=1)
        news = AnnouncementDraft("info", "Gadget of hers will be away", tomorrow)
        announced = self.container.get_user_service().announcements.create(news, actor=boss)
        rate = billing.payments.taxes.add_rate(
            TaxRate("", "DE", BuyerKind.PERSON, 1900, "VAT", "Gadget", tomorrow), actor=boss
        )
        note = self.container.get_user_service().notes.add(alice.id, "Gadget of hers was looked at", actor=boss)
        paid = [each for each in billing.list_transactions(alice.id) if each.kind == TransferKind.USAGE]
        transfer = paid[0].id
        lost = MachineSpec("vm_lost", "lost", 1, 512, 10, "tiny")  # what only the hypervisor has
        cloud.driver.create(lost)
        cloud.vms.strays.record(lost.vm_id, PowerState.OFF, lost)
        cloud.vms.labels.set(machine.id, "of=hers", actor=self.me)
        self.values = {
            "project_id": project.id,
            "vm_id": machine.id,
            "machine_id": machine.id,
            "invitation_id": invitations.list_open(project.id)[0].id,
            "user_id": alice.id,
            "holder_id": alice.id,
            "announcement_id": announced.id,
            "token_id": auth.tokens.list_personal(alice.id)[0].id,
            "key_id": ssh_key.id,
            "view_id": view.id,
            "session_id": auth.list_sessions(alice.id)[0].id,
            "factor_id": auth.factors.list_factors(alice.id).factors[0].id,
            "statement_id": billing.statements.list_statements(alice.id)[0].id,
            "transfer_id": transfer,
            "interval_id": billing.bills.get_bill(alice.id, *NOVEMBER).lines[0].interval.id,
            "payment_id": payment.id,
            "receipt_id": billing.payments.receipts.list_between(alice.id, *EVER)[0].id,
            "rate_id": rate.id,
            "method_id": card.id,
            "approval_id": asked.id,
            "voucher_id": voucher.id,
            "change_id": change,
            "note_id": note.id,
            "identity_id": self._linked().id,
            "target": f"transfer:{transfer}",
            "size_id": "size_nano",
            "image_id": "img_tiny",
            "made_id": self._image(),
            "version_id": "iv_img_tiny",
            "deed": "withdraw",
            "recipe": "debian-12",
            "stray_id": lost.vm_id,
            "action": "stop",
            "step": "publish",
            "name": "terms",
            "list_name": "projects",
            "token": invited.secret,
            "kind": "text",
            "snapshot_id": self._snapshot(),
            "backup_id": self._backup(),
            "timer_id": self._timer(),
            "operation_id": cloud.operations(machine)[0].id,
            "undo_id": cloud.vms.undo.find_offer(machine.id, actor=self.me),
        }

    def _snapshot(self):
        """One of her machine, taken."""
        self.cloud.vms.snapshots.take(self.machine.id, {"name": "Gadget of hers"}, actor=self.me)
        self.cloud.worker.work()
        return self.cloud.vms.snapshots.list(self.machine.id, actor=self.me)[0].id

    def _backup(self):
        """One of her machine, made."""
        self.cloud.vms.backups.take(self.machine.id, {"name": "Gadget of hers"}, actor=self.me)
        self.cloud.worker.work()
        return self.cloud.vms.backups.list(self.machine.id, actor=self.me)[0].id

    def _timer(self):
        """The deletion of her machine, scheduled for long after."""
        first = datetime(2027, 2, 1, tzinfo=UTC).replace(tzinfo=None)
        data = {"action": "delete", "repeat": "once", "first": first}
        return self.cloud.vms.timers.add(self.machine.id, data, actor=self.me).id

    def _image(self):
        """One of her machine's disk, made."""
        images = self.cloud.vms.machine_images
        images.make(self.machine.id, {"name": "Gadget of hers"}, actor=self.me)
        self.cloud.worker.work()
        return images.list(self.project.id, actor=self.me)[0].id

    def _linked(self):
        """Her sign-in at a provider, as if one were set."""
        core = self.container.parts.core
        identity = DbIdentity(
            id=new_id("idn", core.clock.now()),
            user_id=self.alice.id,
            issuer="https://id.example.com",
            subject="alice",
            email=self.alice.email,
            linked_at=core.clock.now(),
        )
        with core.database.writing() as session, session.begin():
            session.add(identity)
        return self.container.get_auth_service().oidc.ways_in(self.alice.id, actor=self.me).identities[0]

    def address(self, web, rule, **other):
        """The address of a URL rule with her ids, but for those given."""
        values = self.values | (self.in_the_bin if rule.endpoint.startswith("bin.") else {}) | other
        with web.test_request_context():
            return web.url_for(rule.endpoint, **{name: values[name] for name in rule.arguments})

    def state(self):
        """What must be as it was, whoever tried."""
        auth, billing = self.container.get_auth_service(), self.container.get_billing_service()
        projects, user_id = self.container.get_project_service(), self.alice.id
        return {
            "project": projects.get_project(self.project.id),
            "invitations": [each.id for each in projects.invitations.list_open(self.project.id)],
            "members": projects.members.list_members(self.project.id),
            "budget": billing.budgets.get_status(self.project.id),
            "machine": self.container.get_vm_service().get_vm(self.machine.id).state,
            "bin": len(self.cloud.operations(self.binned)),
            "projects in the bin": projects.bin.list_binned(user_id, actor=self.me),
            "operations": len(self.cloud.operations(self.machine)),
            "sessions": {each.id for each in auth.list_sessions(user_id)},
            "tokens": [each.id for each in auth.tokens.list_personal(user_id)],
            "strays": self.container.get_vm_service().strays.list_strays(),
            "ssh keys": self.container.get_user_service().ssh_keys.list_keys(user_id),
            "saved views": self.container.get_user_service().saved_views.list_views(user_id, ListKind.VMS),
            "factors": auth.factors.list_factors(user_id),
            "identities": auth.oidc.ways_in(user_id, actor=self.me),
            "notes": self.container.get_user_service().notes.list_notes(user_id, actor=SYSTEM),
            "cards": [each.id for each in billing.payments.list_methods(user_id)],
            "payments": [(each.id, each.state) for each in billing.payments.list_payments(user_id)],
            "wallet": billing.get_user_credits(user_id),
            "billing details": billing.parties.get_details(user_id),
            "rates": billing.payments.taxes.list_rates(),
            "plan": billing.landing.get_plan(user_id),
        }
