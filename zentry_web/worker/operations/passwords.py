"""Having the agent in a guest set a password."""

from zentry_web.domain.vms.claim import Claim
from zentry_web.worker.operations.context import OperationContext, Overtaken, Steps


def set_password(context: OperationContext, claim: Claim) -> Steps:
    """The agent is asked once; after a kill again, for the same password."""
    context.checkpoint("password.claimed")
    context.step(claim, "password")
    wanted = context.vms.passwords.read(claim)
    if wanted is None:
        raise Overtaken
    context.driver.agents.set_password(claim.vm_id, wanted.user, wanted.password_hash)
    context.checkpoint("password.set")
    context.recorded(context.vms.records.operation_went_on(claim))
    yield from ()
