"""Tables only. Importing this package registers all of them."""

from zentry_web.models.announcement import DbAnnouncement, DbAnnouncementDismissal
from zentry_web.models.backup import DbBackup, DbSchedule
from zentry_web.models.billing import (
    DbAccount,
    DbCharge,
    DbEntry,
    DbHold,
    DbPriceVersion,
    DbProjectMonth,
    DbTransfer,
    DbUsageInterval,
    DbUsageMonth,
)
from zentry_web.models.books import DbApproval, DbLedgerDay, DbRefund, DbVerifyRun
from zentry_web.models.budget import DbProjectBudget
from zentry_web.models.console import DbConsoleSession
from zentry_web.models.disk_aside import DbDiskAside, DbRevertAside
from zentry_web.models.email_change import DbEmailChange, DbEmailConfirmation
from zentry_web.models.event import DbEvent, DbEventPersonal
from zentry_web.models.factor import DbFactor, DbPasskeyChallenge, DbPendingLogin, DbRecoveryCode
from zentry_web.models.identity import DbIdentity, DbOidcFlow
from zentry_web.models.image import DbImage, DbImageVersion
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
from zentry_web.models.promotion import DbPromotion, DbPromotionUse
from zentry_web.models.quota import DbQuota
from zentry_web.models.snapshot import DbSnapshot
from zentry_web.models.statement import DbStatement
from zentry_web.models.storage import DbStoragePrice, DbStored
from zentry_web.models.system import (
    DbAvailability,
    DbComputeStatus,
    DbEventExport,
    DbHeartbeat,
    DbLeader,
    DbPartState,
    DbSetting,
    DbStrayMachine,
)
from zentry_web.models.tax import DbBillingDetails, DbReceipt, DbReceiptSeries, DbTaxRate
from zentry_web.models.timer import DbTimer
from zentry_web.models.undo import DbUndo
from zentry_web.models.user import (
    DbApiToken,
    DbAuthSession,
    DbMailRequest,
    DbOneTimeLink,
    DbRateCounter,
    DbSavedView,
    DbSshKey,
    DbUser,
    DbUserNote,
)
from zentry_web.models.viewing import DbUserView
from zentry_web.models.vm import DbOperation, DbOutage, DbSize, DbVM
from zentry_web.models.voucher import DbVoucher, DbVoucherRedemption

__all__ = [
    "DbAccount",
    "DbAnnouncement",
    "DbAnnouncementDismissal",
    "DbApiToken",
    "DbApproval",
    "DbAuthSession",
    "DbAvailability",
    "DbBackup",
    "DbBillingDetails",
    "DbCharge",
    "DbComputeStatus",
    "DbConsole",
    "DbConsoleSession",
    "DbDiskAside",
    "DbEmailChange",
    "DbEmailConfirmation",
    "DbEntry",
    "DbEvent",
    "DbEventExport",
    "DbEventPersonal",
    "DbFactor",
    "DbHeartbeat",
    "DbHold",
    "DbIdentity",
    "DbImage",
    "DbImagePriceVersion",
    "DbImageVersion",
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
    "DbOutage",
    "DbOutbox",
    "DbPartState",
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
    "DbProjectMonth",
    "DbPromotion",
    "DbPromotionUse",
    "DbQuota",
    "DbRateCounter",
    "DbReceipt",
    "DbReceiptSeries",
    "DbRecoveryCode",
    "DbRefund",
    "DbRevertAside",
    "DbSample",
    "DbSavedView",
    "DbSchedule",
    "DbSetting",
    "DbSize",
    "DbSnapshot",
    "DbSshKey",
    "DbStatement",
    "DbStoragePrice",
    "DbStored",
    "DbStrayMachine",
    "DbTaxRate",
    "DbTimer",
    "DbTopUp",
    "DbTransfer",
    "DbUndo",
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
