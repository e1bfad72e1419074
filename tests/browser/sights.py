"""Every page there is, as somebody sees it: what the axe test checks and what ``make screenshots`` pictures."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from pathlib import Path

from playwright.sync_api import Browser, Page, expect
from sqlalchemy import update

from tests.browser.browser import Person, browser_context
from tests.browser.product import PASSWORD, Product, wait_until
from tests.browser.provided import Provided
from tests.services.people import acting
from tests.services.second_factors import set_up_app
from tests.services.soft_key import SoftKey
from zentry_web.adapters.clock import ManualClock
from zentry_web.adapters.compute.base import MachineSpec
from zentry_web.adapters.compute.simulator.driver import SimulatorCompute
from zentry_web.config import Config
from zentry_web.demo import seed
from zentry_web.domain.credits.payments import AutoTopUp
from zentry_web.domain.credits.prices import ItemKind, PriceItem
from zentry_web.domain.credits.taxes import BuyerKind, TaxRate, TradeParty
from zentry_web.domain.credits.voucher import VoucherDraft
from zentry_web.domain.money import MICRO
from zentry_web.domain.people.announcement import AnnouncementDraft
from zentry_web.domain.people.saved_view import ListKind
from zentry_web.domain.secret import new_secret, secret_hash
from zentry_web.domain.user import SYSTEM, Actor, Role, User
from zentry_web.domain.vms.state import VMState
from zentry_web.domain.vms.vm import VM
from zentry_web.models import DbAuthSession, DbMailRequest, DbUndo, DbUser
from zentry_web.services.auth.one_time_links import LinkPurpose, OneTimeLinks
from zentry_web.services.base_service import BaseService
from zentry_web.services.billing.bills.statements import Statements

USERS, MACHINES, DAYS = 4, 30, 5
PEOPLE_ELSEWHERE = ("outsider", "linked", "moving")
GUARDED = "gil@example.com"
SSH_KEYS = (
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ2mZ6rVjmbrtLQXwFYCPX4CDJcCkI8Ly8mSkMjO6CrH laptop",
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl workstation at the office",
)
PHONE = {"width": 390, "height": 844}
DESKTOP = {"width": 1280, "height": 800}
SETTLED = """() => document.fonts.status === "loaded" && !document.querySelector("[data-chart].loading, .htmx-request")
  && !document.querySelector("[data-console]:not([data-state=open], [data-state=closed])")
  && [...document.querySelectorAll("[data-chart]")].every((el) => el.querySelector(".main-svg, .z-chart-note"))"""


def _press(name: str, page: Page) -> None:
    page.get_by_role("button", name=re.compile(f"^{name}")).first.click()
    page.wait_for_load_state()


def _test_console_path(page: Page) -> None:
    page.get_by_text("Test my console path").click()
    page.get_by_role("button", name="Test", exact=True).click()
    page.get_by_text("Every part works.").wait_for()


def _launch_at_another_price(page: Page) -> None:
    page.get_by_label("Name").fill("race")
    page.locator("[name=shown_price]").evaluate("field => { field.value = '1-1'; }")
    _press("Launch for", page)
    expect(page.get_by_role("alert").filter(has_text="another price")).to_have_count(1)


def _launch_nothing(page: Page) -> None:
    page.get_by_label("Name", exact=True).fill("")
    _press("Launch", page)


def _open_dialog(menu: str, item: str, page: Page) -> None:
    page.get_by_role("button", name=menu).first.click()
    page.locator("[popover]:popover-open").get_by_text(re.compile(f"^{item}")).click()
    expect(page.get_by_role("dialog")).to_be_visible()


def _open_menu(name: str, page: Page) -> None:
    button = page.get_by_role("button", name=name).first
    if not button.is_visible():  # a phone's sidebar is behind the menu
        page.get_by_role("button", name="Menu", exact=True).click()
    button.click()
    expect(page.locator(".z-menu:popover-open")).to_be_visible()  # what is in some comes only now


def _open_notices(page: Page) -> None:
    page.get_by_role("link", name="Notices").locator("visible=true").click()
    expect(page.locator("#z-notices")).to_be_visible()


def _post(path: str, size: int, page: Page) -> None:
    """Send a form that is refused: without its token, or too large."""
    page.evaluate(
        """([path, size]) => {
          const form = document.createElement("form");
          Object.assign(form, {method: "post", action: path});
          const field = document.createElement("input");
          Object.assign(field, {name: "text", value: "x".repeat(size)});
          form.append(field);
          document.body.append(form);
          form.submit();
        }""",
        [path, size],
    )
    page.wait_for_url(f"**{path}")


def _give_password(page: Page) -> None:
    page.get_by_label("E-mail").fill(GUARDED)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url("**/login/factor")


def _arrived(page: Page) -> None:
    """What the credits page fetches after itself is there."""
    expect(page.locator("#curve svg").first).to_be_visible()


def _open_budget(page: Page) -> None:
    page.locator("#budget").get_by_role("link", name="Change").click()
    expect(page.get_by_role("dialog")).to_be_visible()


def _mistype_budget(page: Page) -> None:
    page.get_by_label("Each month").fill("much")
    page.get_by_label("Tell me at").fill("half of it")
    _press("Save", page)


def _mistype_description(page: Page) -> None:
    page.get_by_label("Description").evaluate(
        "field => { field.removeAttribute('maxlength'); field.value = 'x'.repeat(5000) }"
    )
    _press("Save", page)


def _open_withdrawal(page: Page) -> None:
    page.get_by_role("link", name="Withdraw").click()
    expect(page.get_by_role("dialog")).to_be_visible()


def _mistype_vat_number(page: Page) -> None:
    page.get_by_label("VAT number").fill("DE136695977")
    _press("Save", page)


def _mistype_domains(page: Page) -> None:
    page.get_by_label("E-mail domains").fill("example.com\nnot/one")
    _press("Save", page)


def _launch_too_much(page: Page) -> None:
    page.get_by_label("Name", exact=True).fill("too-much")
    page.get_by_role("button", name=re.compile("^Launch")).click()
    expect(page.locator("form").get_by_role("alert")).to_contain_text("budget of project")


def _launch_many(page: Page) -> None:
    page.get_by_label("How many").fill("1000")
    page.get_by_label("Launch another").select_option("size_large")
    expect(page.locator("#what-if-answer")).to_contain_text("Not enough credits")


def _top_up_nothing(page: Page) -> None:
    page.get_by_role("radio", name=re.compile("Another amount")).check(force=True)
    page.get_by_label("Credits", exact=True).fill("0.5")
    page.get_by_role("button", name="Continue to payment").click()
    expect(page.locator(".z-error")).to_be_visible()


def _search(typed: str, page: Page) -> None:
    page.keyboard.press("Control+k")
    page.keyboard.type(typed)
    expect(page.locator("#z-found").get_by_role("option").first).to_be_visible()


def _ask_for_keys(page: Page) -> None:
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keyboard shortcuts")).to_be_visible()


def _begin_view(page: Page) -> None:
    page.get_by_label("Why").fill("Asked for help")
    _press("View as", page)
    expect(page.get_by_role("region", name="Viewing as")).to_be_visible()


def _leave_view(page: Page) -> bool:
    """Whether a view was still open: what the sight before began."""
    leave = page.get_by_role("region", name="Viewing as").get_by_role("button", name="Leave")
    if not leave.count():
        return False
    leave.click()
    page.wait_for_load_state()
    return True


def _see_refused(page: Page) -> None:
    _begin_view(page)
    page.goto("/account/tokens")


def _choose_all(action: str, page: Page) -> None:
    page.goto("/admin/users?ticked=1")
    page.get_by_role("form", name="The selected users").locator(f"button[value={action}]").click()
    expect(page.get_by_role("region", name="Selected accounts")).to_be_visible()


def _enable_all(page: Page) -> None:
    _choose_all("enable", page)
    _press("Enable accounts", page)


@dataclass(frozen=True)
class Sight:
    """One page as ``who`` sees it. ``path`` has names of Furnished's things in braces; ``act`` comes after loading."""

    name: str
    who: (
        str  # 'visitor', 'newcomer' (has nothing yet), 'guarded' (has second factors), 'owner', 'admin'; or of Provided
    )
    path: str
    act: Callable[[Page], None] | None = None


SIGHTS = (
    Sight("landing", "visitor", "/"),
    Sight("status", "visitor", "/status"),
    Sight("terms", "visitor", "/terms"),
    Sight("calculator", "visitor", "/calculator?machines=3&hours=8"),
    Sight("signup", "visitor", "/signup"),
    Sight("signup-mistakes", "visitor", "/signup", partial(_press, "Create account")),
    Sight("login", "visitor", "/login"),
    Sight("login-needed", "visitor", "/login?next=/vms"),
    Sight("login-refused", "visitor", "/login", partial(_press, "Log in")),
    Sight("forgot", "visitor", "/forgot"),
    Sight("finish-signup", "visitor", "/signup/{signup}"),
    Sight("reset-password", "visitor", "/reset/{reset}"),
    Sight("check-mail", "visitor", "/check-mail"),
    Sight("login-provider", "outsider", "/login"),
    Sight("login-provider-refused", "outsider", "/login/oidc/callback?state=none&error=access_denied"),
    Sight("signup-by-mail", "outsider", "/signup"),
    Sight("forgot-by-mail", "outsider", "/forgot"),
    Sight("email-link-old", "outsider", "/email/{agree_old}"),
    Sight("email-link-new", "outsider", "/email/{agree_new}"),
    Sight("email-change", "linked", "/account/email"),
    Sight("email-change-mistakes", "linked", "/account/email", partial(_press, "Ask both")),
    Sight("email-change-waits", "moving", "/account/email"),
    Sight("account-provider", "linked", "/account"),
    Sight("security-provider", "linked", "/account/security"),
    Sight("confirm-by-provider", "linked", "/account/confirm"),
    Sight("security", "owner", "/account/security"),
    Sight("security-with-factors", "guarded", "/account/security"),
    Sight("login-factor", "visitor", "/login", _give_password),
    Sight("login-factor-none", "visitor", "/login/factor"),
    Sight("factor-needed", "guarded", "/account/factors/needed"),
    Sight("factor-app", "guarded", "/account/factors/app"),
    Sight("factor-app-refused", "guarded", "/account/factors/app", partial(_press, "Set it up")),
    Sight("passkey-add", "guarded", "/account/passkeys"),
    Sight("recovery-codes", "guarded", "/account/factors/codes", partial(_press, "Make new ones")),
    Sight("confirm", "newcomer", "/account/confirm"),
    Sight("confirm-by-factor", "guarded", "/account/confirm"),
    Sight("leave", "owner", "/account/leave"),
    Sight("tokens", "owner", "/account/tokens"),
    Sight("notifications", "owner", "/account/notifications"),
    Sight("notifications-admin", "admin", "/account/notifications"),
    Sight("ssh-keys", "owner", "/account/ssh-keys"),
    Sight("ssh-keys-mistakes", "owner", "/account/ssh-keys", partial(_press, "Add key")),
    Sight("ssh-key", "owner", "/account/ssh-keys/{ssh_key}"),
    Sight("empty-ssh-keys", "newcomer", "/account/ssh-keys"),
    Sight("welcome", "visitor", "/welcome/{link}"),
    Sight("error-404", "visitor", "/nowhere"),
    Sight("error-400", "visitor", "/login", partial(_post, "/login", 1)),
    Sight("error-403", "owner", "/admin"),
    Sight("error-404-inside", "owner", "/nowhere"),
    Sight("vm-deleted", "owner", "/vms/{binned}"),
    Sight("error-405", "owner", "/logout"),
    Sight("error-413", "visitor", "/login", partial(_post, "/login", 600_000)),
    Sight("error-500", "owner", "/styleguide/broken"),
    Sight("empty-overview", "newcomer", "/overview"),
    Sight("empty-projects", "newcomer", "/projects"),
    Sight("empty-vms", "newcomer", "/vms"),
    Sight("empty-launch", "newcomer", "/vms/new"),
    Sight("empty-credits", "newcomer", "/credits", _arrived),
    Sight("empty-spend", "newcomer", "/credits/spend"),
    Sight("empty-statements", "owner", "/credits/statements"),
    Sight("empty-landing-plan", "newcomer", "/credits/plan"),
    Sight("empty-notices", "newcomer", "/account/notices"),
    Sight("overview", "owner", "/overview"),
    Sight("palette", "owner", "/overview", partial(_search, "web")),
    Sight("palette-recent", "owner", "/vms", partial(_search, "")),
    Sight("palette-admin", "admin", "/admin", partial(_search, "stop web")),
    Sight("keys", "owner", "/keys"),
    Sight("keys-dialog", "owner", "/vms", _ask_for_keys),
    Sight("search", "owner", "/search?q=web"),
    Sight("vm-stop", "owner", "/vms/{running}/stop"),
    Sight("account-menu", "owner", "/overview", partial(_open_menu, "Account menu")),
    Sight("projects", "owner", "/projects"),
    Sight("project", "owner", "/projects/{project}"),
    Sight("project-images", "owner", "/projects/{image_project}/images"),
    Sight("project-image-delete", "owner", "/projects/{image_project}/images/{own_image}/delete"),
    Sight("project-spend", "owner", "/projects/{project}/spend"),
    Sight("project-activity", "owner", "/projects/{project}/activity"),
    Sight("project-empty", "owner", "/projects/{empty_project}"),
    Sight("project-new", "owner", "/projects/new"),
    Sight("project-settings", "owner", "/projects/{project}/settings"),
    Sight("projects-archived", "owner", "/projects?archived=1"),
    Sight("project-rename", "owner", "/projects/{project}/rename"),
    Sight("project-rename-dialog", "owner", "/projects/{project}", partial(_open_dialog, "More actions", "Rename")),
    Sight("project-members", "owner", "/projects/{project}/members"),
    Sight("project-invite", "owner", "/projects/{project}/members/invite"),
    Sight("invitation", "visitor", "/invitations/{invitation}"),
    Sight("invitation-signed-in", "newcomer", "/invitations/{invitation}"),
    Sight("invitation-mailed", "owner", "/invitations/mailed/{mailed}"),
    Sight("project-budget", "owner", "/projects/{project}/budget"),
    Sight("project-budget-dialog", "owner", "/projects/{project}", _open_budget),
    Sight("project-budget-mistakes", "owner", "/projects/{empty_project}/budget", _mistype_budget),
    Sight("launch-over-budget", "owner", "/vms/new?project={capped_project}", _launch_too_much),
    Sight("project-delete", "owner", "/projects/{empty_project}/delete"),
    Sight("project-delete-full", "owner", "/projects/{project}/delete"),
    Sight("project-archived", "owner", "/projects/{archived}"),
    Sight("project-settings-archived", "owner", "/projects/{archived}/settings"),
    Sight("project-settings-mistakes", "owner", "/projects/{empty_project}/settings", _mistype_description),
    Sight("empty-bin", "newcomer", "/bin"),
    Sight("bin", "owner", "/bin"),
    Sight("bin-restore-vm", "owner", "/bin/vms/{binned}/restore"),
    Sight("bin-restore-dialog", "owner", "/bin", partial(_open_dialog, "Actions for old-wiki", "Restore")),
    Sight("bin-purge-vm", "owner", "/bin/vms/{binned}/purge"),
    Sight("bin-restore-several", "owner", "/bin/bulk?do=restore&id={binned}"),
    Sight("bin-purge-several", "owner", "/bin/bulk?do=purge&id={binned}"),
    Sight("bin-project", "owner", "/bin/projects/{binned_project}"),
    Sight("bin-restore-project", "owner", "/bin/projects/{binned_project}/restore"),
    Sight("bin-purge-project", "owner", "/bin/projects/{binned_project}/purge"),
    Sight("project-ownership", "owner", "/projects/{project}/ownership"),
    Sight("project-ownership-alone", "owner", "/projects/{empty_project}/ownership"),
    Sight("project-ownership-offered", "owner", "/projects/{offered}/ownership"),
    Sight("project-ownership-mine", "guarded", "/projects/{offered}/ownership"),
    Sight("vms", "owner", "/vms"),
    Sight("vms-bulk-move", "owner", "/vms/bulk?do=move&id={running}&id={stopped}", partial(_press, "Move them")),
    Sight("vms-bulk-delete", "owner", "/vms/bulk?do=delete&id={running}&id={stopped}"),
    Sight("vms-bulk-done", "owner", "/vms/bulk?do=stop&id={failed}&id={stopped}", partial(_press, "Stop")),
    Sight("vms-menu", "owner", "/vms", partial(_open_menu, "Actions for")),
    Sight("vms-menu-page", "owner", "/vms/{running}/menu"),
    Sight("vms-nothing-found", "owner", "/vms?q=nothing-is-called-this"),
    Sight("vms-search-problem", "owner", "/vms?q=state:runing"),
    Sight("vms-all-selected", "owner", "/vms?ticked=1"),
    Sight("vms-columns", "owner", "/vms?columns=state,cpu,memory,rate,month&density=compact&q=state:running"),
    Sight("save-view", "owner", "/account/views/new?kind=vms&query=q%3Dstate%253Arunning"),
    Sight("saved-view", "owner", "/account/views/{view}"),
    Sight("launch", "owner", "/vms/new"),
    Sight("launch-at-another-price", "owner", "/vms/new", _launch_at_another_price),
    Sight("launch-like", "owner", "/vms/new?like={running}"),
    Sight("launch-mistakes", "owner", "/vms/new", _launch_nothing),
    Sight("vm-running", "owner", "/vms/{running}"),
    Sight("vm-metrics", "owner", "/vms/{running}/metrics?range=6h"),
    Sight("vm-settings", "owner", "/vms/{running}/settings"),
    Sight("vm-coming-up", "owner", "/vms/{fresh}"),
    Sight("vm-stopped", "owner", "/vms/{stopped}"),
    Sight("vm-stopped-menu", "owner", "/vms/{stopped}", partial(_press, "More actions")),
    Sight("vm-failed", "owner", "/vms/{failed}"),
    Sight("vm-activity", "owner", "/vms/{running}/activity"),
    Sight("vm-console", "owner", "/vms/{running}/console"),
    Sight("vm-console-path", "owner", "/vms/{running}/console", _test_console_path),
    Sight("vm-console-screen", "owner", "/vms/{running}/console?show=screen"),
    Sight("vm-console-window", "owner", "/vms/{running}/console/window?show=screen"),
    Sight("vm-console-off", "owner", "/vms/{stopped}/console"),
    Sight("vm-force-off", "owner", "/vms/{running}/force_off"),
    Sight("vm-force-off-dialog", "owner", "/vms/{running}", partial(_open_dialog, "More actions", "Force off")),
    Sight("vm-reset", "owner", "/vms/{running}/reset"),
    Sight("operations", "owner", "/operations"),
    Sight("operations-failed", "newcomer", "/operations?show=failed"),
    Sight("operation", "owner", "/operations/{operation}"),
    Sight("operation-failed", "owner", "/operations/{operation_failed}"),
    Sight("operation-again", "owner", "/operations/{operation_failed}/again"),
    Sight("undo", "owner", "/undo/{undo}"),
    Sight("vm-password", "owner", "/vms/{running}/password"),
    Sight("vm-rescue", "owner", "/vms/{running}/rescue"),
    Sight("vm-rebuild", "owner", "/vms/{running}/rebuild"),
    Sight("vm-snapshots", "owner", "/vms/{running}/snapshots"),
    Sight("vm-snapshots-none", "owner", "/vms/{stopped}/snapshots"),
    Sight("vm-snapshot-new", "owner", "/vms/{running}/snapshots/new"),
    Sight("vm-snapshot-mistakes", "owner", "/vms/{running}/snapshots/new", partial(_press, "Take a snapshot")),
    Sight("vm-snapshot-revert", "owner", "/vms/{running}/snapshots/{snapshot}/revert"),
    Sight("vm-snapshot-delete", "owner", "/vms/{running}/snapshots/{snapshot}/delete"),
    Sight("launch-from-snapshot", "owner", "/vms/new?snapshot={snapshot}"),
    Sight("vm-image-new", "owner", "/vms/{running}/image"),
    Sight("vm-image-mistakes", "owner", "/vms/{running}/image", partial(_press, "Make an image")),
    Sight("vm-snapshot-schedule", "owner", "/vms/{running}/snapshots/schedule"),
    Sight("vm-backups", "owner", "/vms/{stopped}/backups"),
    Sight("vm-backups-none", "owner", "/vms/{running}/backups"),
    Sight("vm-backup-new", "owner", "/vms/{running}/backups/new"),
    Sight("vm-backup-restore", "owner", "/vms/{stopped}/backups/{backup}/restore"),
    Sight("launch-from-backup", "owner", "/vms/new?backup={backup}"),
    Sight("vm-backup-prove", "owner", "/vms/{stopped}/backups/{backup}/proof"),
    Sight("vm-backup-delete", "owner", "/vms/{stopped}/backups/{backup}/delete"),
    Sight("vm-backup-schedule", "owner", "/vms/{stopped}/backups/schedule"),
    Sight("vm-rename", "owner", "/vms/{running}/rename"),
    Sight("vm-restarts", "owner", "/vms/{running}/restarts"),
    Sight("vm-timers", "owner", "/vms/{running}/timers"),
    Sight("vm-timer-new", "owner", "/vms/{running}/timers/new"),
    Sight("vm-timer-remove", "owner", "/vms/{running}/timers/{timer}/remove"),
    Sight("vm-resize", "owner", "/vms/{running}/resize"),
    Sight("vm-resize-stopped", "owner", "/vms/{stopped}/resize"),
    Sight("vm-delete", "owner", "/vms/{stopped}/delete"),
    Sight("vm-delete-dialog", "owner", "/vms/{stopped}", partial(_open_dialog, "More actions", "Delete")),
    Sight("credits", "owner", "/credits", _arrived),
    Sight("empty-top-up", "newcomer", "/credits/top-up"),
    Sight("top-up", "owner", "/credits/top-up"),
    Sight("top-up-mistakes", "owner", "/credits/top-up", _top_up_nothing),
    Sight("payment", "owner", "/credits/top-up/{paid}"),
    Sight("payment-waits", "owner", "/credits/top-up/{unpaid}"),
    Sight("pay-test", "owner", "/credits/top-up/{unpaid}/pay"),
    Sight("billing-details", "owner", "/credits/details"),
    Sight("billing-details-mistakes", "owner", "/credits/details", _mistype_vat_number),
    Sight("spend", "owner", "/credits/spend"),
    Sight("spend-by-day", "owner", "/credits/spend?by=day"),
    Sight("charges", "owner", "/credits/bill"),
    Sight("transactions", "owner", "/credits/transactions"),
    Sight("charge-recomputed", "owner", "/credits/bill/{interval}?recompute=1"),
    Sight("payment-recomputed", "owner", "/credits/transactions/{payment}?recompute=1"),
    Sight("balance-history", "owner", "/credits/history"),
    Sight("what-if", "owner", "/credits/what-if", _launch_many),
    Sight("statements", "guarded", "/credits/statements"),
    Sight("statement", "guarded", "/credits/statements/{statement}"),
    Sight("prices", "owner", "/credits/prices"),
    Sight("landing-plan", "owner", "/credits/plan"),
    Sight("redeem", "owner", "/credits/redeem"),
    Sight("redeem-refused", "owner", "/credits/redeem?code=0000-0000-0000", partial(_press, "Redeem")),
    Sight("notices", "owner", "/account/notices"),
    Sight("notices-drawer", "owner", "/overview", _open_notices),
    Sight("account", "owner", "/account"),
    Sight("account-data", "owner", "/account/data"),
    Sight("admin-overview", "admin", "/admin"),
    Sight("admin-users", "admin", "/admin/users"),
    Sight("admin-users-filtered", "admin", "/admin/users?q=role:user+machines:>0&sort=least"),
    Sight("admin-users-nothing-found", "admin", "/admin/users?q=nobody-is-called-this"),
    Sight("admin-user", "admin", "/admin/users/{user}"),
    Sight("admin-viewing", "admin", "/admin/users/{user}/view", _begin_view),
    Sight("admin-viewing-refused", "admin", "/admin/users/{user}/view", _see_refused),
    Sight("admin-bulk", "admin", "/admin/users", partial(_choose_all, "grant")),
    Sight("admin-bulk-done", "admin", "/admin/users", _enable_all),
    Sight("admin-view-as", "admin", "/admin/users/{user}/view", partial(_press, "View as")),
    Sight("admin-user-role", "admin", "/admin/users/{user}/role"),
    Sight("admin-user-reset", "admin", "/admin/users/{user}/reset-password"),
    Sight("admin-user-mistakes", "admin", "/admin/users/{user}", partial(_press, "Add the note")),
    Sight("admin-projects", "admin", "/admin/projects"),
    Sight("admin-invitations", "admin", "/admin/invitations"),
    Sight("admin-vms", "admin", "/admin/vms"),
    Sight("admin-vms-menu", "admin", "/admin/vms", partial(_open_menu, "Actions for")),
    Sight("admin-vms-menu-page", "admin", "/admin/vms/{running}/menu"),
    Sight(
        "admin-vms-order", "admin", "/admin/vms/order?order=delete&id={running}&id={stopped}", partial(_press, "Delete")
    ),
    Sight("admin-sizes", "admin", "/admin/sizes"),
    Sight("vms-labelled", "owner", "/vms?label=team%3Dweb"),
    Sight("vm-labels", "owner", "/vms/{running}/labels"),
    Sight("vm-move", "owner", "/vms/{running}/move"),
    Sight("admin-quota", "admin", "/admin/quotas/{user}"),
    Sight("admin-size-new", "admin", "/admin/sizes/new"),
    Sight("admin-size-new-mistakes", "admin", "/admin/sizes/new", partial(_press, "Create size")),
    Sight("admin-price", "admin", "/admin/sizes/size_small/price"),
    Sight("admin-storage-price", "admin", "/admin/storage/snapshot/price"),
    Sight("admin-images", "admin", "/admin/images"),
    Sight("admin-image-new", "admin", "/admin/images/new"),
    Sight("admin-image-new-mistakes", "admin", "/admin/images/new", partial(_press, "Fetch it")),
    Sight("admin-image", "admin", "/admin/images/img_tiny/versions"),
    Sight("admin-image-edit", "admin", "/admin/images/img_tiny/edit"),
    Sight("admin-no-vouchers-fit", "admin", "/admin/vouchers?q=nothing"),
    Sight("admin-vouchers", "admin", "/admin/vouchers"),
    Sight("admin-vouchers-new", "admin", "/admin/vouchers/new", partial(_press, "Make")),
    Sight("admin-voucher-revoke", "admin", "/admin/vouchers/{voucher}/revoke"),
    Sight("admin-prices", "admin", "/admin/prices"),
    Sight("admin-prices-new", "admin", "/admin/prices/new", partial(_press, "Save the draft")),
    Sight("admin-prices-draft", "admin", "/admin/prices/{draft}"),
    Sight("admin-prices-rehearsal", "admin", "/admin/prices/{draft}/rehearsal"),
    Sight("admin-prices-announced", "admin", "/admin/prices/{announced}"),
    Sight("admin-prices-withdraw", "admin", "/admin/prices/{announced}/withdraw"),
    Sight("admin-prices-withdraw-dialog", "admin", "/admin/prices/{announced}", _open_withdrawal),
    Sight("admin-payments", "admin", "/admin/payments"),
    Sight("admin-payments-nothing-found", "admin", "/admin/payments?q=nobody"),
    Sight("admin-payment", "admin", "/admin/payments/{paid}"),
    Sight("admin-announcements", "admin", "/admin/announcements"),
    Sight("admin-announcement", "admin", "/admin/announcements/{announcement}", partial(_press, "Preview")),
    Sight("admin-announcement-mistakes", "admin", "/admin/announcements/new", partial(_press, "Announce")),
    Sight("admin-settings", "admin", "/admin/settings"),
    Sight("admin-setting", "admin", "/admin/settings/login_tries"),
    Sight("admin-setting-mistakes", "admin", "/admin/settings/signup_domains", _mistype_domains),
    Sight("admin-audit", "admin", "/admin/audit"),
    Sight("admin-audit-filtered", "admin", "/admin/audit?from=2020-01-01&to=2040-01-01&action=vm.&outcome=succeeded"),
    Sight("admin-audit-columns", "admin", "/admin/audit?q=vm+outcome:accepted&columns=what,who&density=compact"),
    Sight("admin-audit-check", "admin", "/admin/audit/verify"),
    Sight("admin-system", "admin", "/admin/system"),
    Sight("admin-strays", "admin", "/admin/system/strays"),
    Sight("admin-adopt", "admin", "/admin/system/strays/{stray}/adopt"),
    Sight("admin-adopt-mistakes", "admin", "/admin/system/strays/{stray}/adopt", partial(_press, "Adopt")),
    Sight("admin-ledger", "admin", "/admin/ledger"),
    Sight("admin-ledger-transfer", "admin", "/admin/ledger/{payment}"),
    Sight("admin-interval", "admin", "/admin/intervals/{interval}"),
    Sight("admin-refund", "admin", "/admin/refund/transfer:{payment}"),
    Sight("admin-refund-mistakes", "admin", "/admin/refund/transfer:{payment}", partial(_press, "Refund")),
    Sight("admin-approvals", "admin", "/admin/approvals"),
    Sight("admin-books", "admin", "/admin/books"),
    Sight("admin-taxes", "admin", "/admin/taxes?range=30d"),
    Sight("admin-tax-new", "admin", "/admin/taxes/new", partial(_press, "Add")),
    Sight("admin-tax-remove", "admin", "/admin/taxes/{rate}/remove"),
    Sight("admin-write-offs", "admin", "/admin/write-offs"),
    Sight("styleguide", "visitor", "/styleguide/"),
    Sight("styleguide-console", "admin", "/styleguide/"),
)


class Furnished:
    """A Zentry with demo data and one of everything that a page can show."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.product = Product(folder, host="localhost")
        config: Config = self.product.config
        seed(config, users=USERS, vms=MACHINES, days=DAYS, seed=7, password=PASSWORD)
        self.product.start()
        self._emails: dict[str, str] = {}
        self._codes: list[str] = []
        self.things: dict[str, str] = {}
        self._furnish()
        self.provided = Provided(folder / "provided")
        self.things |= self.provided.things

    def stop(self) -> None:
        self.provided.stop()
        self.product.stop()

    def url(self, who: str) -> str:
        """Where the pages are that somebody sees."""
        return self.provided.product.url if who in PEOPLE_ELSEWHERE else self.product.url

    def path(self, sight: Sight) -> str:
        return sight.path.format_map(self.things)

    def sign_in(self, browser: Browser) -> "dict[str, dict[str, object]]":
        """The cookies of everybody a sight is seen by."""
        states: dict[str, dict[str, object]] = {"visitor": {}}
        for who, email in self._emails.items():
            with browser_context(browser, self.product.url) as (context, problems):
                person = Person(context, problems, email=email)
                if who == "guarded":
                    self._log_in_with_code(person.page)
                else:
                    person.log_in()
                states[who] = dict(context.storage_state())
        for who in ("linked", "moving"):
            with browser_context(browser, self.url(who)) as (context, _):
                self.provided.sign_in(who, context.new_page())
                states[who] = dict(context.storage_state())
        states["outsider"] = {}
        for product in (self.product, self.provided.product):
            _prove_all(product)
        return states

    def _log_in_with_code(self, page: Page) -> None:
        page.goto("/login")
        _give_password(page)
        page.get_by_text("Use a recovery code").click()
        page.get_by_label("Recovery code").fill(self._codes.pop())
        page.get_by_role("button", name="Log in").last.click()
        page.wait_for_url("**/overview")

    def _guard(self, user: User) -> list[str]:
        """Give somebody an app and a passkey; returns the recovery codes."""
        auth, clock = self.product.container.get_auth_service(), self.product.container.clock
        _, codes = set_up_app(auth, user, clock)
        key = SoftKey(self.product.url)
        asked = auth.passkeys.begin_registration(user.id, "session", actor=acting(user))
        auth.passkeys.register(user.id, "Gil's laptop", key.create(asked), actor=acting(user), session_token="session")
        return list(codes)

    def _label(self, owner: User) -> None:
        """Labels on a project and its running machine: some to be counted only, one as long as can be."""
        services, actor = self.product.container, Actor(owner.id, owner.role)
        labels = "env=prod\nteam=web\nbackup\ncost-centre=4711\nrack=b2\nnote=" + "long-" * 12
        services.get_vm_service().labels.set(self.things["running"], labels, actor=actor)
        settings = services.get_project_service().settings
        project = services.get_project_service().get_project(self.things["project"], actor=actor)
        seen = {"name": project.name, "description": project.description, "colour": project.colour or ""}
        settings.update(project.id, seen | {"labels": "team=web\neu"}, actor=actor)

    def _furnish(self) -> None:
        services = self.product.container
        rows = services.get_user_service().list_users(limit=USERS + 2)
        owner = max((row for row in rows if not row.user.is_admin), key=lambda row: row.vm_count).user
        admin = next(row.user for row in rows if row.user.is_admin)
        services.get_billing_service().settings.change("terms", "Be kind to others.\nNothing is mined here.", 0)
        newcomer = self.product.make_user("Nora New", "nora@example.com")
        guarded = self.product.make_user("Gil Guarded", GUARDED)
        self._codes = self._guard(guarded)
        self._emails = {"newcomer": newcomer.email, "owner": owner.email, "admin": admin.email, "guarded": GUARDED}
        vms = services.get_vm_service().list_vms(owner.id).vms
        services.get_billing_service().add_credits(owner.id, 5_000_000, "For the pictures")
        keeper = Actor("keeper", Role.ADMIN, proved_at=services.clock.now())  # somebody else than the admin who looks
        services.get_billing_service().add_credits(owner.id, 2_000_000_000, "A course in autumn", actor=keeper)
        project = next(vm for vm in vms if vm.state == VMState.RUNNING).project_id
        self.things = {
            "user": owner.id,
            "project": project,
            "invitation": self._invite(owner, newcomer, project),
            "mailed": self._mailed(self.product.make_user("Helen Host", "helen@example.com"), owner),
            "empty_project": services.get_project_service().create_project({"name": "winter"}, owner).id,
            "running": min((vm for vm in vms if vm.state == VMState.RUNNING), key=lambda vm: vm.started_at).id,
            "stopped": next(vm.id for vm in vms if vm.state == VMState.STOPPED),
            "signup": self._signup(),
            "reset": OneTimeLinks(services.parts.core).make(owner.id, LinkPurpose.RESET_PASSWORD),
            "link": services.get_auth_service().create_admin("keeper@example.com", "Kit Keeper"),
            **self._bills(owner.id),
            **self._payments(owner),
            "statement": self._statement(guarded),
            "voucher": self._vouchers(owner.id),
            "announcement": self._announce(admin),
            "ssh_key": self._ssh_keys(owner),
            "view": services.get_user_service()
            .saved_views.save(owner.id, ListKind.VMS, "On the air", "q=state%3Arunning", actor=acting(owner))
            .id,
            **self._settings(),
            "capped_project": self._budgets(owner, project),
            **self._prices(admin),
            **self._projects(owner, guarded),
            "failed": self._launch(owner, project, "unlucky", ("fault", "create", "refuse"), is_failed).id,
            "fresh": self._launch(owner, project, "fresh", ("delay", "boot", "7200"), is_running).id,
        }
        self.things["stray"] = self._stray()
        self._label(owner)
        self.things["snapshot"] = self._snapshots(owner)
        self.things["backup"] = self._backups(owner)
        self.things["timer"] = self._schedule(owner)
        self.things["own_image"] = self._own_image(owner)
        self.things |= self._operations(owner)
        self.product.zentry("simulator", "clear")
        self.things |= self._bin(owner, project)

    def _snapshots(self, owner: User) -> str:
        """Two of the machine that runs, one on the other, and a schedule; the id of the first."""
        vms, running, actor = self.product.container.get_vm_service(), self.things["running"], acting(owner)

        def are_ready(count: int) -> bool:
            found = vms.snapshots.list(running, actor=actor)
            return len(found) == count and all(each.is_ready for each in found)

        for count, name in enumerate(("before the upgrade", "upgraded, before the new shop"), start=1):
            vms.snapshots.take(running, {"name": name, "note": "All pages answer." if count == 1 else ""}, actor=actor)
            wait_until(partial(are_ready, count), 60, "a snapshot is there")
        vms.snapshot_schedules.set(running, {"every": "day", "hour": "3", "keep": "7"}, actor=actor)
        return vms.snapshots.list(running, actor=actor)[0].id

    def _backups(self, owner: User) -> str:
        """One of the stopped machine, and a schedule; its id."""
        vms, stopped, actor = self.product.container.get_vm_service(), self.things["stopped"], acting(owner)
        vms.backups.take(stopped, {"name": "before the move", "note": "All orders are in."}, actor=actor)

        def is_ready() -> bool:
            return all(each.is_ready for each in vms.backups.list(stopped, actor=actor))

        wait_until(is_ready, 60, "a backup is there")
        vms.backup_schedules.set(stopped, {"every": "week", "hour": "3", "keep": "4"}, actor=actor)
        return vms.backups.list(stopped, actor=actor)[0].id

    def _schedule(self, owner: User) -> str:
        """What is scheduled for the machine that runs: evenings, mornings, and its end; the id of that."""
        product, actor = self.product.container, acting(owner)
        day = product.clock.now().replace(hour=0, minute=0, tzinfo=None) + timedelta(days=1)
        for action, repeat, hours in (("stop", "weekdays", 19), ("start", "weekdays", 7), ("delete", "once", 24 * 30)):
            first = {"action": action, "repeat": repeat, "first": day + timedelta(hours=hours), "catches_up": True}
            timer = product.get_vm_service().timers.add(self.things["running"], first, actor=actor)
        return timer.id

    def _own_image(self, owner: User) -> str:
        """One of the machine that runs; its id."""
        vms, running, actor = self.product.container.get_vm_service(), self.things["running"], acting(owner)
        project = self.things["image_project"] = vms.get_vm(running).project_id
        note = "Our base with nginx and the monitoring agent."
        vms.machine_images.make(running, {"name": "Web base", "note": note}, actor=actor)

        def found() -> list[str]:
            return [each.id for each in vms.machine_images.list(project, actor=actor) if each.is_ready]

        wait_until(lambda: bool(found()), 60, "an image is there")
        return found()[0]

    def _operations(self, owner: User) -> dict[str, str]:
        """A launch that came up and one that failed; a change that can be undone as long as the pictures take."""
        vms, actor, running = self.product.container.get_vm_service(), acting(owner), self.things["running"]
        lines = vms.work.list_of(owner.id, actor=actor, limit=200)
        undo = vms.undo.find_offer(running, actor=actor)
        with vms.transaction() as session:
            session.execute(update(DbUndo).values(until=self.product.container.clock.now() + timedelta(days=1)))
        return {
            "operation": next(line.id for line in lines if line.vm_id == running),
            "operation_failed": next(line.id for line in lines if line.vm_id == self.things["failed"]),
            "undo": undo,
        }

    def _projects(self, owner: User, taker: User) -> dict[str, str]:
        """One that is archived, one that is offered to somebody."""
        projects, actor = self.product.container.get_project_service(), acting(owner)
        archived = projects.create_project({"name": "course-2025"}, owner).id
        projects.settings.archive(archived, actor=actor)
        offered = projects.create_project({"name": "library"}, owner).id
        invited = projects.invitations.invite(offered, {"email": taker.email, "role": "admin"}, actor=actor)
        projects.invitations.accept(invited.secret, actor=acting(taker))
        self._launch(owner, offered, "catalogue", (), is_running)
        projects.ownership.offer(offered, taker.id, actor=actor)
        return {"archived": archived, "offered": offered}

    def _bin(self, owner: User, project_id: str) -> dict[str, str]:
        """A machine and a project that were deleted and can come back."""
        vms, projects = self.product.container.get_vm_service(), self.product.container.get_project_service()
        actor = acting(owner)
        old = projects.create_project({"name": "intranet"}, owner).id
        gone = self._launch(owner, project_id, "old-wiki", (), is_running)
        for name in ("mail", "files"):
            self._launch(owner, old, name, (), is_running)
        vms.delete_vm(gone.id, gone.name, actor=actor)
        projects.delete_project(old, actor=actor)
        wait_until(lambda: vms.bin.get_binned(gone.id, actor=actor).is_off, 60, "the machine is in the bin")
        wait_until(lambda: projects.bin.get_binned(old, actor=actor)[0].is_off, 60, "the project is in the bin")
        return {"binned": gone.id, "binned_project": old}

    def _ssh_keys(self, owner: User) -> str:
        """Two keys; the id of one."""
        keys = self.product.container.get_user_service().ssh_keys
        for line in SSH_KEYS:
            added = keys.add(owner.id, line, actor=acting(owner))
        return str(added.id)

    def _signup(self) -> str:
        """The secret of a sign-up's link as it was mailed."""
        core, secret = self.product.container.parts.core, new_secret()
        now = core.clock.now()
        row = DbMailRequest(
            id="mrq_pictured", purpose="signup", email="olga@example.com", name="Olga", created_at=now, run_at=now,
            attempts=1, done_at=now, token_hash=secret_hash(secret), expires_at=now + timedelta(days=1),
        )  # fmt: skip
        with BaseService(core).transaction() as session:
            session.add(row)
        return secret

    def _prices(self, admin: User) -> dict[str, str]:
        """A draft, and an announced change that everybody concerned was told of."""
        billing, actor = self.product.container.get_billing_service(), Actor(admin.id, admin.role)
        start = self.product.container.clock.now() + timedelta(days=20)
        small = PriceItem(ItemKind.SIZE, "size_small", 58_000, 110)
        image = PriceItem(ItemKind.IMAGE, "img_tiny", 1_500)
        nano = PriceItem(ItemKind.SIZE, "size_nano", 9_000, 110)
        changes = billing.price_changes
        announced = changes.save_draft("Prices of spring", start, [small, image], actor=actor)
        changes.publish(announced, actor=actor)
        billing.price_telling.run()
        later = start + timedelta(days=60)
        draft = changes.save_draft(
            "Prices of summer", later, [nano, replace(image, running_micro_per_hour=0)], actor=actor
        )
        return {"announced": announced, "draft": draft}

    def _invite(self, owner: User, guest: User, project_id: str) -> str:
        """A team: a member, and an open invitation; the secret of its link."""
        invitations, actor = self.product.container.get_project_service().invitations, Actor(owner.id, owner.role)
        joined = invitations.invite(project_id, {"email": guest.email, "role": "viewer"}, actor=actor)
        other = self.product.make_user("Mia Member", "mia@example.com")
        invitations.accept(joined.secret, actor=Actor(other.id, other.role))
        return invitations.invite(project_id, {"email": "friend@example.com", "role": "member"}, actor=actor).secret

    def _mailed(self, host: User, guest: User) -> str:
        """An invitation that was mailed to an address which its mailbox has proved."""
        container = self.product.container
        with container.database.writing() as session:
            session.execute(update(DbUser).where(DbUser.id == guest.id).values(email_proven_at=container.clock.now()))
            session.commit()
        projects = container.get_project_service()
        project_id = projects.create_project({"name": "guests"}, host).id
        data = {"email": guest.email, "role": "viewer"}
        return projects.invitations.invite(project_id, data, actor=acting(host)).id

    def _bills(self, owner_id: str) -> dict[str, str]:
        """Something charged, and what paid for it."""
        billing, now = self.product.container.get_billing_service(), self.product.container.clock.now()
        lines = billing.bills.get_bill(owner_id, now - timedelta(days=DAYS), now).lines
        charged = next(line for line in lines if line.charged_micro)
        payment = billing.bills.get_interval(owner_id, charged.interval.id).charges[0].transfer_id
        return {"interval": charged.interval.id, "payment": payment}

    def _statement(self, user: User) -> str:
        """A closed month with taxed payments: of a person without machines, whose month can end any time."""
        core, billing = self.product.container.parts.core, self.product.container.get_billing_service()
        payments, actor = billing.payments, acting(user)
        buyer = TradeParty("Gil Guarded e.K.", "Am Kai 3\n18055 Rostock", "DE", "", is_business=True)
        billing.parties.set_details(user.id, buyer, actor=actor)
        for credits in (50, 20):
            paid = payments.start_top_up(user.id, credits * MICRO, actor=actor).id
            payments.press_test_button(user.id, paid, "pay", "4242", actor=actor)
        billing.payment_desk.refund(paid, 500, "A part of it, for the pictures", actor=SYSTEM)
        later = replace(core, clock=ManualClock(core.clock.now() + timedelta(days=35)))
        statement = Statements(later, billing.notices, billing.parties).close_month(user.id)
        assert statement is not None
        return statement.id

    def _payments(self, owner: User) -> dict[str, str]:
        """A payment that came in with a card kept, one that was declined, one that waits; taxed, by a table."""
        rate = self._taxes(owner)
        payments, actor = self.product.container.get_billing_service().payments, Actor(owner.id, owner.role)
        made = [
            payments.start_top_up(owner.id, credits * MICRO, save_method=credits == 20, actor=actor)
            for credits in (20, 50, 10)
        ]
        for payment, action in zip(made, ("pay", "decline"), strict=False):
            payments.press_test_button(owner.id, payment.id, action, "4242", actor=actor)
        billing = self.product.container.get_billing_service()
        card = payments.list_methods(owner.id)[0]
        auto = AutoTopUp(True, 1 * MICRO, 24, 20 * MICRO, 100 * MICRO, card.id)
        billing.auto_top_ups.set_settings(owner.id, auto, actor=actor)
        billing.payment_desk.refund(made[0].id, 500, "A quarter of it, for the pictures", actor=SYSTEM)
        return {"paid": made[0].id, "unpaid": made[2].id, "rate": rate}

    def _taxes(self, owner: User) -> str:
        """Who sells and buys, a table of three rows, and promotional credit; returns the row that has not begun."""
        billing, now = self.product.container.get_billing_service(), self.product.container.clock.now()
        billing.settings.change("seller_name", "Cloud Example Ltd", 0)
        billing.settings.change("seller_country", "DE", 0)
        buyer = TradeParty("Studio Nord", "Hafenstraße 12\n20457 Hamburg", "DE", "", is_business=True)
        billing.parties.set_details(owner.id, buyer, actor=Actor(owner.id, owner.role))
        note = "Reverse charge: the recipient owes the tax"
        rows = [
            TaxRate("", "DE", BuyerKind.BUSINESS, 1900, "VAT", "", now),
            TaxRate("", "FR", BuyerKind.REGISTERED, 0, "", note, now),
            TaxRate("", "DE", BuyerKind.BUSINESS, 2000, "VAT", "", now + timedelta(days=20)),
        ]
        billing.promote(owner.id, 3 * MICRO, "Spring fair", expires_at=now + timedelta(days=5))
        return [billing.payments.taxes.add_rate(row).id for row in rows][-1]

    def _budgets(self, owner: User, project_id: str) -> str:
        """One that is half spent on the project with machines, one that refuses everything; returns its project."""
        billing, projects = self.product.container.get_billing_service(), self.product.container.get_project_service()
        twice = max(1, 2 * billing.reports.project_month_spend(project_id))
        billing.budgets.set_budget(project_id, twice, (50, 80, 100), hard_cap=False)
        capped = projects.create_project({"name": "trial"}, owner).id
        billing.budgets.set_budget(capped, 1_000, (100,), hard_cap=True)
        return capped

    def _settings(self) -> dict[str, str]:
        """One that was changed twice."""
        settings = self.product.container.get_billing_service().settings
        settings.change("login_tries", 12, settings.change("login_tries", 20, 0).version)
        return {}

    def _announce(self, admin: User) -> str:
        """One of each level, on every page from now on; returns the id of one that can be changed."""
        told, actor = self.product.container.get_user_service().announcements, Actor(admin.id, admin.role)
        now = self.product.container.clock.now()
        end = now + timedelta(days=2)
        warning = (
            "On Saturday from 9 to 10 the host is restarted. Machines that run are off meanwhile and started again."
        )
        told.create(AnnouncementDraft("info", "There are new sizes.", now, link="/credits/prices"), actor=actor)
        told.create(AnnouncementDraft("critical", "No machine can be launched at present.", now, end), actor=actor)
        public = AnnouncementDraft("warning", warning, now, end, "https://example.com/status", "Status", True)
        return told.create(public, actor=actor).id

    def _vouchers(self, owner_id: str) -> str:
        """One of each state that comes without waiting; returns the id of one that works."""
        vouchers = self.product.container.get_billing_service().vouchers
        end = self.product.container.clock.now() + timedelta(days=30)
        (used,) = vouchers.create(VoucherDraft(5_000_000, note="Prize of the autumn fair"))
        vouchers.redeem(owner_id, used.code)
        (revoked,) = vouchers.create(VoucherDraft(2_500_000, note="sent to the wrong list"))
        vouchers.revoke(revoked.id)
        return vouchers.create(VoucherDraft(10_000_000, count=3, uses=25, expires_at=end, note="Course 2026"))[0].id

    def _stray(self) -> str:
        """A machine that only the hypervisor has."""
        strays = self.product.container.get_vm_service().strays
        size = self.product.container.get_vm_service().list_sizes()[0]
        simulator = SimulatorCompute(self.product.data / "simulator.sqlite")
        simulator.create(MachineSpec("vm_stray", "left", size.vcpus, size.memory_mib, size.disk_gib, "tiny"))
        simulator.close()
        return wait_until(strays.list_strays, 60, "a machine that nobody owns is listed")[0].vm_id

    def _launch(
        self, owner: User, project_id: str, name: str, trouble: tuple[str, ...], done: Callable[[VM], bool]
    ) -> VM:
        """Launch a machine with which the simulator makes trouble, if any, and wait until it is as wanted."""
        if trouble:
            self.product.zentry("simulator", *trouble)
        vms = self.product.container.get_vm_service()
        chosen = {"project_id": project_id, "name": name, "size_id": "size_nano", "image_id": "img_tiny"}
        vm = vms.create_vm(chosen, owner)
        wait_until(lambda: done(vms.get_vm(vm.id)), 60, f"{name} is there")
        return vm


def _prove_all(product: Product) -> None:
    """Looking at every page takes longer than a proof lasts."""
    core = product.container.parts.core
    with core.database.writing() as session:
        session.execute(update(DbAuthSession).values(proved_at=core.clock.now() + timedelta(days=1)))
        session.commit()


def is_failed(vm: VM) -> bool:
    return vm.state == VMState.ERROR


def is_running(vm: VM) -> bool:
    return vm.state == VMState.RUNNING


def look_at(page: Page, furnished: Furnished, sight: Sight) -> None:
    """Go there, do what is to be done, and wait until nothing is loading any more."""
    page.goto("about:blank")  # leave no dialog, menu or event stream of the page before
    page.goto(furnished.path(sight))
    if _leave_view(page):
        page.goto(furnished.path(sight))
    if sight.act:
        sight.act(page)
    for chart in page.locator("[data-chart]:visible").all():
        chart.scroll_into_view_if_needed()  # they are drawn when they come into view
    page.wait_for_function(SETTLED)
    page.evaluate("scrollTo(0, 0)")
