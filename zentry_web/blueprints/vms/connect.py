"""How to log in to a machine: the line to type, from where it works, and whose keys it has."""

from dataclasses import dataclass
from ipaddress import ip_address

from zentry_web.domain.language import _, lazy
from zentry_web.domain.people.ssh_key import host_key_on
from zentry_web.domain.people.ssh_key_text import parse_public_key
from zentry_web.domain.vms.vm import VM

HERE_ONLY = lazy("Only from the computer that Zentry runs on.")
PRIVATE = lazy(
    "From the computer that Zentry runs on, and from where its operator has laid a way to this private address."
)
ANYWHERE = lazy("From wherever this address can be reached.")


@dataclass(frozen=True, slots=True)
class Connection:
    """``command`` and ``host_key`` are '' while they are not known; ``keys``: (name, fingerprint)."""

    command: str
    where: str
    keys: tuple[tuple[str, str], ...]
    host_key: str


def connection(vm: VM, console: str) -> Connection:
    """What is known now. ``console``: what it said last; '' for those who may not see it."""
    command, where = _way(vm)
    keys = tuple(_key(line) for line in vm.ssh_key.splitlines() if line.strip())
    return Connection(command, where, keys, host_key_on(console) if vm.is_on else "")


def _way(vm: VM) -> tuple[str, str]:
    if not vm.is_on:
        return "", ""
    if vm.reach:
        return vm.reach.replace("root@", f"{vm.login_user}@"), HERE_ONLY
    if not vm.address:
        return "", ""
    try:
        private = ip_address(vm.address).is_private
    except ValueError:  # a name
        private = False
    return f"ssh {vm.login_user}@{vm.address}", PRIVATE if private else ANYWHERE


def _key(line: str) -> tuple[str, str]:
    try:
        key = parse_public_key(line)
    except ValueError:  # of before such lines were checked
        return _("a key"), ""
    return key.comment or _("without a name"), key.fingerprint
