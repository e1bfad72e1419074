"""Guests' agents under libvirt: qemu-guest-agent, or another that speaks as it does, on its channel.

Whether one listens is told by libvirt's events, so that a listing costs no look at each machine's definition.
"""

import logging
import threading
import xml.etree.ElementTree as ET
from collections.abc import Callable
from typing import Any

import libvirt

from zentry_web.adapters.compute.base import ComputeRefused
from zentry_web.adapters.compute.libvirt.connection import LibvirtConnection
from zentry_web.adapters.compute.libvirt.xml import AGENT_CHANNEL
from zentry_web.adapters.compute.words import AGENT_REFUSED, AGENT_SILENT, NO_AGENT, OFF_NO_AGENT

logger = logging.getLogger(__name__)

ANSWER_SECONDS = 20  # an agent has this long for each answer; under emulation it needs some
_SILENT = {libvirt.VIR_ERR_AGENT_UNRESPONSIVE, libvirt.VIR_ERR_AGENT_UNSYNCED}
_GONE = {libvirt.VIR_ERR_ARGUMENT_UNSUPPORTED, libvirt.VIR_ERR_OPERATION_UNSUPPORTED}


def has_agent(domain: Any) -> bool:
    """Whether a guest's agent has opened its channel. May raise libvirtError."""
    root = ET.fromstring(domain.XMLDesc())  # noqa: S314 - comes from libvirt
    found = root.find(f"devices/channel/target[@name='{AGENT_CHANNEL}']")
    return found is not None and found.get("state") == "connected"


class AgentWatch:
    """In which domains an agent listens. Give ``begin`` each new connection before anything is asked of it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[str, tuple[int, bool]] = {}  # by uuid: in which run, and whether

    def begin(self, connection: Any) -> None:
        """Listen on a connection that was just opened: what was told before may be out of date."""
        with self._lock:
            self._known = {}
        connection.domainEventRegisterAny(None, libvirt.VIR_DOMAIN_EVENT_ID_AGENT_LIFECYCLE, self._on_change, None)

    def listens(self, domain: Any) -> bool:
        """Whether an agent listens in a domain that is on; False where that cannot be read."""
        uuid, run = domain.UUIDString(), domain.ID()
        known = self._known.get(uuid)
        if known is not None and known[0] == run:
            return known[1]
        try:
            found = has_agent(domain)
        except libvirt.libvirtError:  # it has just gone off
            return False
        with self._lock:
            now = self._known.get(uuid)
            if now is None or now[0] != run:  # else an event came meanwhile, which knows better
                self._known[uuid] = (run, found)
            return self._known[uuid][1]

    def _on_change(self, _connection: Any, domain: Any, state: int, _reason: int, _opaque: Any) -> None:
        is_there = state == libvirt.VIR_CONNECT_DOMAIN_EVENT_AGENT_LIFECYCLE_STATE_CONNECTED
        with self._lock:
            self._known[domain.UUIDString()] = (domain.ID(), is_there)

    def forget(self, uuid: str) -> None:
        """A domain that is gone."""
        with self._lock:
            self._known.pop(uuid, None)


class LibvirtAgents:
    """See Agents. ``need`` looks a machine's domain up, or raises MachineMissing."""

    def __init__(self, connection: LibvirtConnection, need: Callable[[Any, str], Any]) -> None:
        self._connection, self._need = connection, need

    def set_password(self, vm_id: str, user: str, password_hash: str) -> None:
        """See Agents.set_password."""

        def act(connection: Any) -> None:
            domain = self._need(connection, vm_id)
            if not domain.isActive():
                raise ComputeRefused(OFF_NO_AGENT)
            if not has_agent(domain):
                raise ComputeRefused(NO_AGENT)
            _set_password(domain, vm_id, user, password_hash)

        self._connection.call(act, 40.0, changes=True, about=vm_id)


def _set_password(domain: Any, vm_id: str, user: str, password_hash: str) -> None:
    try:
        domain.agentSetResponseTimeout(ANSWER_SECONDS, 0)  # libvirt itself would wait for ever
        domain.setUserPassword(user, password_hash, libvirt.VIR_DOMAIN_PASSWORD_ENCRYPTED)
    except libvirt.libvirtError as error:
        code = error.get_error_code()
        words = AGENT_SILENT if code in _SILENT else NO_AGENT if code in _GONE else ""
        if code == libvirt.VIR_ERR_INTERNAL_ERROR:  # what the agent said, which is the guest's text
            words = AGENT_REFUSED
        if not words:
            raise
        logger.warning("The agent of %s set no password: %.200r", vm_id, error.get_error_message())
        raise ComputeRefused(words) from error
