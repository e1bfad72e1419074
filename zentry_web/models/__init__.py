"""Tables only. Importing this package registers all of them."""

from zentry_web.models.announcement import DbAnnouncement, DbAnnouncementDismissal
from zentry_web.models.billing import (
    DbAccount,
    DbCharge,
    DbEntry,
    DbHold,
    DbPriceVersion,
    DbTransfer,
    DbUsageInterval,
    DbUsageMonth,
)
from zentry_web.models.books import DbApproval, DbLedgerDay, DbRefund, DbVerifyRun
from zentry_web.models.budget import DbProjectBudget
from zentry_web.models.email_change import DbEmailChange, DbEmailConfirmation
from zentry_web.models.event import DbEvent, DbEventPersonal
from zentry_web.models.factor import DbFactor, DbPasskeyChallenge, DbPendingLogin, DbRecoveryCode
from zentry_web.models.identity import DbIdentity, DbOidcFlow
from zentry_web.models.label import DbProjectLabel, DbVMLabel
from zentry_web.models.metrics import DbConsole, DbLatest, DbSample
from zentry_web.models.notice import DbLanding, DbMailChoice, DbNotice, DbOutbox
from zentry_web.models.payment import (
    DbPayment,
    DbPaymentDispute,
    DbPaymentEvent,
    DbPaymentMethod,
    DbPaymentRefund,
    DbPaymentRefundTold,
    DbTopUp,
)
from zentry_web.models.prices import DbImagePriceVersion, DbPriceChange, DbPriceItem, DbPriceTold
from zentry_web.models.project import DbProject, DbProjectInvitation, DbProjectMember
from zentry_web.models.quota import DbQuota
from zentry_web.models.statement import DbStatement
from zentry_web.models.system import DbComputeStatus, DbHeartbeat, DbLeader, DbSetting
from zentry_web.models.user import (
    DbApiToken,
    DbAuthSession,
    DbMailRequest,
    DbOneTimeLink,
    DbRateCounter,
    DbSshKey,
    DbUser,
    DbUserNote,
)
from zentry_web.models.viewing import DbUserView
from zentry_web.models.vm import DbImage, DbOperation, DbSize, DbVM
from zentry_web.models.voucher import DbVoucher, DbVoucherRedemption

__all__ = [
    "DbAccount",
    "DbAnnouncement",
    "DbAnnouncementDismissal",
    "DbApiToken",
    "DbApproval",
    "DbAuthSession",
    "DbCharge",
    "DbComputeStatus",
    "DbConsole",
    "DbEmailChange",
    "DbEmailConfirmation",
    "DbEntry",
    "DbEvent",
    "DbEventPersonal",
    "DbFactor",
    "DbHeartbeat",
    "DbHold",
    "DbIdentity",
    "DbImage",
    "DbImagePriceVersion",
    "DbLanding",
    "DbLatest",
    "DbLeader",
    "DbLedgerDay",
    "DbMailChoice",
    "DbMailRequest",
    "DbNotice",
    "DbOidcFlow",
    "DbOneTimeLink",
    "DbOperation",
    "DbOutbox",
    "DbPasskeyChallenge",
    "DbPayment",
    "DbPaymentDispute",
    "DbPaymentEvent",
    "DbPaymentMethod",
    "DbPaymentRefund",
    "DbPaymentRefundTold",
    "DbPendingLogin",
    "DbPriceChange",
    "DbPriceItem",
    "DbPriceTold",
    "DbPriceVersion",
    "DbProject",
    "DbProjectBudget",
    "DbProjectInvitation",
    "DbProjectLabel",
    "DbProjectMember",
    "DbQuota",
    "DbRateCounter",
    "DbRecoveryCode",
    "DbRefund",
    "DbSample",
    "DbSetting",
    "DbSize",
    "DbSshKey",
    "DbStatement",
    "DbTopUp",
    "DbTransfer",
    "DbUsageInterval",
    "DbUsageMonth",
    "DbUser",
    "DbUserNote",
    "DbUserView",
    "DbVM",
    "DbVMLabel",
    "DbVerifyRun",
    "DbVoucher",
    "DbVoucherRedemption",
]
