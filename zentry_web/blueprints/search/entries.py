"""What is always there to be found: pages, settings and actions that are about no single thing."""

from collections.abc import Iterable
from dataclasses import dataclass

from flask import url_for

from zentry_web.domain.language import lazy
from zentry_web.domain.setting import DEFINITIONS

PAGES, SETTINGS, ACTIONS = lazy("Pages"), lazy("Settings"), lazy("Actions")


@dataclass(frozen=True, slots=True)
class Entry:
    """``more``: words that somebody may type instead. ``ask``: it opens in the dialog."""

    group: str
    text: str
    endpoint: str
    icon: str
    more: str = ""
    ask: bool = False


_EVERYBODY = (
    Entry(PAGES, lazy("Overview"), "dashboard.overview", "layout-dashboard", "home dashboard start"),
    Entry(PAGES, lazy("Projects"), "projects.index", "folders"),
    Entry(PAGES, lazy("Machines"), "vms.index", "server", "vms virtual servers instances"),
    Entry(PAGES, lazy("Credits"), "billing.index", "wallet", "balance money billing"),
    Entry(PAGES, lazy("Charges"), "billing.bill", "receipt", "bill usage lines costs"),
    Entry(PAGES, lazy("Spend"), "billing.spend", "chart-bar", "costs money"),
    Entry(PAGES, lazy("Statements"), "billing.statements", "file-text", "bills invoices months pdf"),
    Entry(PAGES, lazy("Prices"), "billing.prices", "tag", "sizes costs rates"),
    Entry(PAGES, lazy("What if"), "billing.what_if", "refresh", "runway forecast calculator"),
    Entry(PAGES, lazy("If credits run out"), "billing.plan", "list", "landing plan order low empty"),
    Entry(PAGES, lazy("Notices"), "account.notices", "bell", "messages"),
    Entry(PAGES, lazy("Account"), "account.profile", "user", "profile me"),
    Entry(PAGES, lazy("Status"), "public.status", "heartbeat", "up down availability incidents"),
    Entry(PAGES, lazy("Keyboard shortcuts"), "search.keys", "help-circle", "keys help ?", ask=True),
    Entry(PAGES, lazy("Recycle bin"), "bin.index", "trash", "deleted restore trash undelete"),
    Entry(SETTINGS, lazy("Profile"), "account.profile", "user", "name region time zone"),
    Entry(SETTINGS, lazy("Theme"), "account.profile", "moon", "dark light colours appearance"),
    Entry(SETTINGS, lazy("Password"), "account.profile", "key", "change"),
    Entry(
        SETTINGS,
        lazy("Security"),
        "account.security",
        "shield-lock",
        "second factor 2fa passkey sessions devices log-ins",
    ),
    Entry(SETTINGS, lazy("SSH keys"), "account.ssh_keys", "key", "public access"),
    Entry(SETTINGS, lazy("API tokens"), "account.tokens", "api", "programs access"),
    Entry(SETTINGS, lazy("Notifications"), "account.notifications", "bell", "mail e-mails"),
    Entry(ACTIONS, lazy("Launch a machine"), "vms.create", "rocket", "new create add vm server instance"),
    Entry(ACTIONS, lazy("Create a project"), "projects.create", "plus", "new add", ask=True),
    Entry(ACTIONS, lazy("Top up"), "billing.top_up", "credit-card", "add buy pay credits money card"),
    Entry(ACTIONS, lazy("Redeem a voucher"), "billing.redeem", "ticket", "code credits gift"),
    Entry(ACTIONS, lazy("Add an SSH key"), "account.ssh_keys", "key", "new public"),
    Entry(ACTIONS, lazy("Create an API token"), "account.tokens", "api", "new"),
    Entry(ACTIONS, lazy("Add a passkey"), "account.add_passkey", "fingerprint", "new second factor 2fa"),
    Entry(
        ACTIONS, lazy("Sign out other devices"), "account.end_other_sessions", "logout", "sessions end log", ask=True
    ),
    Entry(ACTIONS, lazy("Delete my account"), "account.leave", "trash", "close leave"),
)
_ADMINS = (
    Entry(PAGES, lazy("Administration"), "admin.overview", "layout-dashboard", "admin overview"),
    Entry(PAGES, lazy("Users"), "admin.users", "users", "admin people accounts"),
    Entry(PAGES, lazy("All projects"), "admin.projects", "folders", "admin"),
    Entry(PAGES, lazy("Invitations"), "admin.invitations", "send", "admin people"),
    Entry(PAGES, lazy("All machines"), "admin.vms", "server", "admin vms fleet"),
    Entry(PAGES, lazy("Machines nobody owns"), "admin.strays", "plug", "admin stray adopt"),
    Entry(PAGES, lazy("Sizes"), "admin.sizes", "adjustments", "admin catalogue"),
    Entry(PAGES, lazy("Images"), "admin.images", "disc", "admin catalogue systems"),
    Entry(PAGES, lazy("Price changes"), "admin.prices", "tag", "admin"),
    Entry(PAGES, lazy("Vouchers"), "admin.vouchers", "ticket", "admin codes"),
    Entry(PAGES, lazy("Payments"), "admin.payments", "credit-card", "admin"),
    Entry(PAGES, lazy("Ledger"), "admin.ledger", "receipt", "admin transactions"),
    Entry(PAGES, lazy("Books"), "admin.books", "chart-bar", "admin revenue liability"),
    Entry(PAGES, lazy("Write-offs"), "admin.write_offs", "receipt", "admin books"),
    Entry(PAGES, lazy("Approvals"), "admin.approvals", "list-check", "admin second"),
    Entry(PAGES, lazy("Announcements"), "admin.announcements", "speakerphone", "admin banner"),
    Entry(PAGES, lazy("Installation settings"), "admin.settings", "settings", "admin operator"),
    Entry(PAGES, lazy("Audit trail"), "admin.audit", "clipboard-list", "admin events log"),
    Entry(PAGES, lazy("System"), "admin.system", "heartbeat", "admin health workers"),
    Entry(ACTIONS, lazy("Create vouchers"), "admin.make_vouchers", "ticket", "admin new codes"),
    Entry(ACTIONS, lazy("Draft new prices"), "admin.new_prices", "tag", "admin change"),
    Entry(ACTIONS, lazy("Write an announcement"), "admin.new_announcement", "speakerphone", "admin new banner"),
)


def entries_for(*, is_admin: bool) -> Iterable[tuple[Entry, str]]:
    """Every entry that somebody may open, with its address."""
    for entry in (*_EVERYBODY, *(_ADMINS if is_admin else ())):
        yield entry, url_for(entry.endpoint)
    if is_admin:
        for key, definition in DEFINITIONS.items():
            entry = Entry(SETTINGS, definition.title, "admin.setting", "settings", "admin installation setting")
            yield entry, url_for("admin.setting", setting_key=key)
