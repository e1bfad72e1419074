"""Two real guests of two customers on one wire, one of which tries to cheat: as root, with frames of its own making."""

import socket
import subprocess
import threading
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from tests.compute_contract import ComputeRig, wait_for
from tests.libvirt_fixture import LibvirtRig, libvirt_rig, virsh
from zentry_web.adapters.compute.base import ComputeRefused
from zentry_web.adapters.compute.libvirt.xml import bridge_name, filter_name

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]

# Sends the bytes on its standard input as one Ethernet frame.
_SENDER = r"""
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>
int main(void) {
    unsigned char frame[1514];
    ssize_t size = 0, got;
    while ((got = read(0, frame + size, sizeof frame - size)) > 0) size += got;
    struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_ifindex = if_nametoindex("eth0"), .sll_halen = 6};
    int wire = socket(AF_PACKET, SOCK_RAW, 0);
    if (sendto(wire, frame, size, 0, (struct sockaddr *)&to, sizeof to) != size) { perror("sendto"); return 1; }
    return 0;
}
"""


@dataclass
class Guest:
    vm_id: str
    address: str
    mac: bytes
    tap: str
    run: Callable[[str], str]
    send: Callable[[bytes], None] = field(repr=False, default=lambda frame: None)


@dataclass
class Wire:
    """The two guests, and the host as they see it."""

    libvirt: LibvirtRig
    rig: ComputeRig
    victim: Guest
    cheat: Guest

    @property
    def bridge(self) -> str:
        return bridge_name(self.libvirt.namespace)

    @property
    def host_mac(self) -> bytes:
        return bytes.fromhex(Path(f"/sys/class/net/{self.bridge}/address").read_text().strip().replace(":", ""))

    @property
    def host(self) -> str:
        return str(IPv4Address(int(IPv4Address(self.victim.address)) & 0xFFFFFF00 | 1))


def boot(rig: ComputeRig, libvirt: LibvirtRig, name: str) -> Guest:
    vm_id = rig.booted(name=name)
    address = rig.get(vm_id).addresses[0]

    def run(command: str) -> str:
        return libvirt.key.run(address, command)

    def answers() -> bool:
        try:
            return run("hostname").strip() == name
        except AssertionError:  # a lease may come a moment before sshd listens
            return False

    wait_for(answers, 60, f"ssh of {name}", pause=0.3)
    running = ET.fromstring(virsh(libvirt.uri, "dumpxml", libvirt.uuid(vm_id)))
    mac = bytes.fromhex(running.find("devices/interface/mac").get("address").replace(":", ""))
    return Guest(vm_id, address, mac, running.find("devices/interface/target").get("dev"), run)


@pytest.fixture(scope="module")
def wire(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wire]:
    folder = tmp_path_factory.mktemp("apart")
    (folder / "send.c").write_text(_SENDER)
    subprocess.run(["cc", "-static", "-O1", "-o", folder / "send", folder / "send.c"], check=True, timeout=60)
    program = (folder / "send").read_bytes()
    with libvirt_rig(folder) as libvirt:
        rig = libvirt.compute_rig()
        victim, cheat = boot(rig, libvirt, "victim"), boot(rig, libvirt, "cheat")
        libvirt.key.give(cheat.address, "cat > /tmp/send && chmod 755 /tmp/send", program)
        cheat.send = lambda frame: libvirt.key.give(cheat.address, "/tmp/send", frame)
        yield Wire(libvirt, rig, victim, cheat)


# Frames

EVERYBODY = b"\xff" * 6
IPV4, ARP, IPV6 = b"\x08\0", b"\x08\6", b"\x86\xdd"


def packed(address: str) -> bytes:
    return IPv4Address(address).packed


def checksum(data: bytes) -> bytes:
    total = sum(int.from_bytes(data[i : i + 2], "big") for i in range(0, len(data), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return (~total & 0xFFFF).to_bytes(2, "big")


Body = Callable[[bytes], bytes]  # what a frame carries, around a mark to know it by


def udp(source: str, target: str, ports: tuple[int, int] = (4000, 4000)) -> Body:
    """An IPv4 packet."""

    def packet(mark: bytes) -> bytes:
        body = b"".join(port.to_bytes(2, "big") for port in ports) + (8 + len(mark)).to_bytes(2, "big") + b"\0\0" + mark
        head = b"\x45\0" + (20 + len(body)).to_bytes(2, "big") + b"\0\1\0\0\x40\x11"
        ends = packed(source) + packed(target)
        return head + checksum(head + b"\0\0" + ends) + ends + body

    return packet


def arp(operation: int, mac: bytes, address: str, asked: str) -> Body:
    head = b"\0\1\x08\0\6\4" + operation.to_bytes(2, "big") + mac + packed(address) + b"\0" * 6 + packed(asked)
    return lambda mark: head + mark


def ipv6(mark: bytes) -> bytes:
    return b"\x60" + b"\0" * 39 + mark


def what_cheats_send(wire: Wire) -> dict[str, bytes]:
    """Frames by what they try. Each carries its own name to be known by."""
    me, other, host = wire.cheat, wire.victim, wire.host
    mine, theirs, hosts = me.mac, other.mac, wire.host_mac
    tagged, tagged_zero, provider = b"\x81\0\0\5", b"\x81\0\0\0", b"\x88\xa8\0\5"
    honest = udp(me.address, host)
    cases: dict[str, tuple[bytes, Body]] = {
        "another address": (hosts + mine + IPV4, udp(other.address, host)),
        "an address of nobody": (hosts + mine + IPV4, udp("192.0.2.9", host)),
        "another MAC": (hosts + theirs + IPV4, honest),
        "the host's MAC": (EVERYBODY + hosts + IPV4, honest),
        "another's address is mine": (EVERYBODY + mine + ARP, arp(1, mine, other.address, other.address)),
        "an answer for another": (hosts + mine + ARP, arp(2, mine, other.address, host)),
        "I am the host": (EVERYBODY + mine + ARP, arp(2, mine, host, other.address)),
        "another MAC in an answer": (hosts + mine + ARP, arp(2, theirs, me.address, host)),
        "a DHCP offer": (EVERYBODY + mine + IPV4, udp(me.address, "255.255.255.255", (67, 68))),
        "a DHCP offer to one": (theirs + mine + IPV4, udp(me.address, other.address, (67, 68))),
        "a VLAN": (hosts + mine + tagged + IPV4, honest),
        "VLAN 0": (hosts + mine + tagged_zero + IPV4, honest),
        "a provider's VLAN": (hosts + mine + provider + IPV4, honest),
        "ARP in a VLAN": (EVERYBODY + mine + tagged + ARP, arp(1, mine, me.address, host)),
        "IPv6": (EVERYBODY + mine + IPV6, ipv6),
        "another protocol": (EVERYBODY + mine + b"\x88\xb5", lambda mark: mark),
        "the other directly": (theirs + mine + IPV4, udp(me.address, other.address)),
        "the other by broadcast": (EVERYBODY + mine + IPV4, udp(me.address, other.address)),
        "the wire's broadcast": (EVERYBODY + mine + IPV4, udp(me.address, f"{host.rpartition('.')[0]}.255")),
        "the other through the host": (hosts + mine + IPV4, udp(me.address, other.address)),
    }
    return {name: head + body(f"<{name}>".encode()) for name, (head, body) in cases.items()}


class Watch:
    """What comes out at an interface of the host's: the bridge is the host itself, a tap is the guest behind it."""

    def __init__(self, interface: str) -> None:
        self.seen = b""
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        self._socket.bind((interface, 3))
        self._socket.settimeout(0.2)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()

    def _look(self) -> None:
        while not self._over.is_set():
            try:
                self.seen += self._socket.recv(2000)
            except TimeoutError:
                continue

    def end(self) -> None:
        self._over.set()
        self._thread.join()
        self._socket.close()


def test_what_a_cheat_sends_goes_nowhere(wire: Wire) -> None:
    watches = [Watch(wire.bridge), Watch(wire.victim.tap)]
    try:
        for frame in what_cheats_send(wire).values():
            wire.cheat.send(frame)
        honest = udp(wire.cheat.address, wire.host)(b"<an honest packet>")
        wire.cheat.send(wire.host_mac + wire.cheat.mac + IPV4 + honest)
        wait_for(lambda: b"<an honest packet>" in watches[0].seen, 20, "what is sent last and honestly")
        # Frames keep their order, so whatever was let through is there by now; the other guest's side likewise, once
        # it has got something from the host.
        wait_for(lambda: wire.victim.run("hostname") and wire.victim.mac in watches[1].seen, 20, "traffic of the other")
    finally:
        for watch in watches:
            watch.end()
    passed = {name for name in what_cheats_send(wire) if any(f"<{name}>".encode() in watch.seen for watch in watches)}
    assert passed == set()


def test_connections_to_a_machine_land_on_it(wire: Wire) -> None:
    cheat, victim = wire.cheat, wire.victim
    cheat.run(f"ip addr add {victim.address}/24 dev eth0; (arping -U -I eth0 -c 20 {victim.address} >/dev/null 2>&1 &)")
    try:
        hosts = [victim.run("hostname").strip() for _ in range(8)]
        assert hosts == ["victim"] * 8
        known = [line.split() for line in Path("/proc/net/arp").read_text().splitlines()]
        macs = [words[3] for words in known if words[0] == victim.address]
        assert macs == [":".join(f"{byte:02x}" for byte in victim.mac)]
    finally:
        cheat.run(f"ip addr del {victim.address}/24 dev eth0")


def greeting(guest: Guest, address: str, port: int) -> str:
    """What a service says first; empty when it cannot be reached."""
    return guest.run(f"timeout 10 nc -w 5 {address} {port} </dev/null 2>/dev/null | head -c 3")


def greet(service: socket.socket) -> None:
    connection, _ = service.accept()
    with connection:
        connection.sendall(b"hello")


def test_ports_are_open_to_the_host_and_shut_to_other_machines(wire: Wire) -> None:
    cheat, victim = wire.cheat, wire.victim
    with socket.create_server((wire.host, 0)) as service:
        service.settimeout(60)
        thread = threading.Thread(target=greet, args=(service,))
        thread.start()
        assert greeting(cheat, wire.host, service.getsockname()[1]) == "hel", "the host, which is the way out"
        thread.join()
    with socket.create_connection((victim.address, 22), timeout=20) as from_the_host:
        assert from_the_host.recv(3) == b"SSH"
    assert greeting(cheat, victim.address, 22) == ""
    # The host would send it back to the same wire.
    cheat.run(f"ip route add {victim.address}/32 via {wire.host}")
    try:
        assert greeting(cheat, victim.address, 22) == ""
    finally:
        cheat.run(f"ip route del {victim.address}/32")


def test_a_dhcp_server_in_a_guest_serves_nobody(wire: Wire) -> None:
    cheat, victim = wire.cheat, wire.victim
    net = wire.host.rpartition(".")[0]
    cheat.run(
        f"printf 'start {net}.200\\nend {net}.210\\ninterface eth0\\nlease_file /tmp/leases\\noption router {net}.9\\n'"
        " > /tmp/udhcpd.conf; touch /tmp/leases; (udhcpd -f /tmp/udhcpd.conf >/dev/null 2>&1 &)"
    )
    victim.run("printf '#!/bin/sh\\necho \"$1 $serverid $ip\" >> /tmp/told\\n' > /tmp/ask; chmod 755 /tmp/ask")
    for _ in range(3):
        victim.run("udhcpc -f -q -n -i eth0 -s /tmp/ask >/dev/null 2>&1; true")
    told = [line.split() for line in victim.run("grep bound /tmp/told").splitlines()]
    assert told == [["bound", wire.host, victim.address]] * 3


def test_a_guest_renews_its_address(wire: Wire) -> None:
    """The filter lets through what an honest guest needs, also from the address it has: a lease lasts an hour."""
    cheat = wire.cheat
    cheat.run("printf '#!/bin/sh\\necho \"$1\" >> /tmp/renewed\\n' > /tmp/note; chmod 755 /tmp/note")
    cheat.run("(udhcpc -f -i eth0 -s /tmp/note -p /tmp/pid >/dev/null 2>&1 &)")
    wait_for(lambda: "bound" in cheat.run("cat /tmp/renewed; true"), 30, "an address", pause=0.3)
    cheat.run("kill -USR1 $(cat /tmp/pid)")
    wait_for(lambda: "renew" in cheat.run("cat /tmp/renewed"), 30, "the same address again", pause=0.3)
    cheat.run("kill $(cat /tmp/pid)")


# Filters come and go with machines


def test_what_was_taken_away_is_there_again_at_the_next_start(wire: Wire, tmp_path: Path) -> None:
    """Also a machine of an earlier Zentry, which had no filter: it gets its own."""
    namespace, uri = wire.libvirt.namespace, wire.libvirt.uri
    vm_id = wire.rig.created()
    old = ET.fromstring(virsh(uri, "dumpxml", wire.libvirt.uuid(vm_id)))
    card = old.find("devices/interface")
    for part in ("filterref", "port"):
        card.remove(card.find(part))
    (tmp_path / "old.xml").write_text(ET.tostring(old, encoding="unicode"))
    virsh(uri, "define", str(tmp_path / "old.xml"))
    virsh(uri, "nwfilter-undefine", filter_name(namespace, vm_id))
    wire.rig.driver.start(vm_id)
    try:
        running = ET.fromstring(virsh(uri, "dumpxml", wire.libvirt.uuid(vm_id)))
        assert running.find("devices/interface/filterref").get("filter") == filter_name(namespace, vm_id)
        assert running.find("devices/interface/port").get("isolated") == "yes"
        assert filter_name(namespace, vm_id) in wire.libvirt.filters()
        tap = running.find("devices/interface/target").get("dev")
        assert Path(f"/sys/class/net/{tap}/brport/isolated").read_text().strip() == "1"
    finally:
        wire.rig.driver.delete(vm_id)


def test_filters_of_others_stay_as_they_are(wire: Wire, tmp_path: Path) -> None:
    spec = wire.rig.spec()
    name = filter_name(wire.libvirt.namespace, spec.vm_id)
    (tmp_path / "filter.xml").write_text(f"<filter name='{name}' chain='root'/>")
    virsh(wire.libvirt.uri, "nwfilter-define", str(tmp_path / "filter.xml"))
    try:
        before = wire.libvirt.filters()[name]
        with pytest.raises(ComputeRefused, match="did not make"):
            wire.rig.driver.create(spec)
        assert wire.rig.driver.machine(spec.vm_id) is None
        wire.rig.driver.delete(spec.vm_id)
        assert wire.libvirt.filters()[name] == before
    finally:
        virsh(wire.libvirt.uri, "nwfilter-undefine", name)
