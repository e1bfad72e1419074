"""What a simulated guest prints on its serial console."""

from datetime import UTC, datetime

_BOOT_LINES: tuple[tuple[float, str], ...] = (
    (0.40, "Linux 6.1.0-simulated, {vcpus} vCPU, {memory_mib} MiB of memory"),
    (0.45, "seed: {keys} SSH key(s) for root"),
    (0.50, "name: {name}"),
    (0.60, "data: {disk_gib} GiB disk on /data, kept across stop and start"),
    (0.80, "network: eth0 {address}/16"),
    (0.95, "ssh: listening on port 22, keys only"),
)


def boot_line(what: str, at: float) -> str:
    """The line that separates one boot from the one before it in the same log; ``what`` is 'power on' or 'restart'."""
    return f"--- {what} {datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S} UTC ---\n"


def boot_text(facts: dict[str, object], vm_id: str, began: float, boot_seconds: float, now: float) -> str:
    """The lines printed so far by a boot that began at ``began`` and takes ``boot_seconds``."""
    elapsed = now - began
    lines = [
        f"[{boot_seconds * share:7.2f}] {line.format(**facts)}\n"
        for share, line in _BOOT_LINES
        if elapsed >= boot_seconds * share
    ]
    if facts["rescue"] and elapsed >= boot_seconds * 0.6:
        lines.append(f"[{boot_seconds * 0.6:7.2f}] rescue: the machine's disk is /dev/vda, nothing of it is mounted\n")
    if elapsed >= boot_seconds:
        lines.append(f"ZENTRY-READY {vm_id} {boot_seconds:.2f} at={int(began + boot_seconds)}\n")
        if facts["script"] and not facts["rescue"]:
            lines.append(f"[{boot_seconds:7.2f}] user data: started (simulated, nothing is run)\n")
        lines.append(f"\n  Simulated machine {facts['name']}\n\n{facts['name']} login: ")
    return "".join(lines)
