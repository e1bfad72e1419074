"""The addresses of what notices and mails lead to: one table. Flask is not needed for it: the worker writes mails."""

from zentry_web.domain.target import Place, Target

PATHS = {
    Place.VMS: "/vms",
    Place.VM: "/vms/{id}",
    Place.BACKUPS: "/vms/{id}/backups",
    Place.TIMERS: "/vms/{id}/timers",
    Place.OPERATION: "/operations/{id}",
    Place.PROJECTS: "/projects",
    Place.PROJECT: "/projects/{id}",
    Place.MEMBERS: "/projects/{id}/members",
    Place.OWNERSHIP: "/projects/{id}/ownership",
    Place.CREDITS: "/credits",
    Place.PLAN: "/credits/plan",
    Place.PRICES: "/credits/prices",
    Place.CHARGES: "/credits/bill/{id}",
    Place.TRANSACTION: "/credits/transactions/{id}",
    Place.PAYMENT: "/credits/top-up/{id}",
    Place.AUTOMATIC_TOP_UP: "/credits/top-up#automatic",
    Place.STATEMENT: "/credits/statements/{id}",
    Place.ACCOUNT: "/account",
    Place.SECURITY: "/account/security",
    Place.EMAIL: "/account/email",
    Place.TOKENS: "/account/tokens",
    Place.SSH_KEYS: "/account/ssh-keys",
    Place.NOTIFICATIONS: "/account/notifications",
    Place.LEAVING: "/account/leave",
    Place.APPROVALS: "/admin/approvals",
    Place.SETTING: "/admin/settings/{id}",
    Place.SYSTEM: "/admin/system",
    Place.USER: "/admin/users/{id}",
    Place.LOGIN: "/login",
    Place.FORGOTTEN: "/forgot",
    Place.SIGN_UP_LINK: "/signup/{id}",
    Place.RESET_LINK: "/reset/{id}",
    Place.EMAIL_LINK: "/email/{id}",
    Place.INVITATION_LINK: "/invitations/{id}",
    Place.OIDC_RETURN: "/login/oidc/callback",
}


def path_of(target: Target) -> str:
    """The path of this site that a target is found at."""
    return PATHS[target.place].format(id=target.id)
