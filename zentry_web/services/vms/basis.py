"""What most parts of VMService work with, made once and handed whole."""

from dataclasses import dataclass

from zentry_web.services.billing_service import BillingService
from zentry_web.services.monitoring_service import MonitoringService
from zentry_web.services.vms.catalogue import Catalogue
from zentry_web.services.vms.operations import OperationQueue
from zentry_web.services.vms.payer import Payer
from zentry_web.services.vms.quotas import Quotas


@dataclass(frozen=True, slots=True)
class VMBasis:
    billing: BillingService
    monitoring: MonitoringService
    catalogue: Catalogue
    quotas: Quotas
    payer: Payer
    operations: OperationQueue
