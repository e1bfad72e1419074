"""What the agent in a guest does for us, where there is one that answers (``Machine.agent``)."""

from typing import Protocol


class Agents(Protocol):
    """A part of ComputeDriver, which says what all of its methods may raise.

    A guest is not trusted: its agent may never answer, or answer with anything. Each method ends within 40 s, and
    nothing the guest says is handed on.
    """

    def set_password(self, vm_id: str, user: str, password_hash: str) -> None:
        """Give a user of the guest the password that has this hash, as /etc/shadow keeps it (SHA-512 crypt). Success
        if it is that already.

        Raises MachineMissing, ComputeRefused (it is off; no agent answers; the agent did not do it: no such user). An
        agent that was asked and does not answer in time may have done it.
        """
