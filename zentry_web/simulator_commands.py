"""``zentry simulator``: doing things to simulated machines as somebody beside Zentry would."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from zentry_web.command_config import read_config

if TYPE_CHECKING:
    from zentry_web.adapters.compute.simulator.control import SimulatorControl


@click.group()
def simulator() -> None:
    """Do things to simulated machines behind Zentry's back."""


def _simulator_control() -> "SimulatorControl":
    from zentry_web.adapters.compute.simulator.control import SimulatorControl

    config = read_config()
    if config.compute != "simulator":
        raise click.ClickException("The compute driver is not the simulator (ZENTRY_COMPUTE).")
    return SimulatorControl(config.data / "simulator.sqlite")


def _simulate(action: Callable[["SimulatorControl"], object]) -> None:
    from zentry_web.adapters.compute.base import MachineMissing

    control = _simulator_control()
    try:
        action(control)
    except (MachineMissing, ValueError) as error:
        raise click.ClickException(str(error)) from None
    finally:
        control.close()


@simulator.command("list")
def simulator_list() -> None:
    """All simulated machines."""
    _simulate(lambda control: click.echo("\n".join(f"{found.vm_id}  {found.name}" for found in control.machines())))


@simulator.command("destroy")
@click.argument("vm")
def simulator_destroy(vm: str) -> None:
    """Remove VM (id or name) as if somebody had destroyed and undefined it."""
    _simulate(lambda control: control.destroy(vm))


@simulator.command("stop")
@click.argument("vm")
def simulator_stop(vm: str) -> None:
    """Power VM off as if from inside the guest."""
    _simulate(lambda control: control.stop(vm))


@simulator.command("crash")
@click.argument("vm")
def simulator_crash(vm: str) -> None:
    """Let the process of VM end on the host, as a crash does."""
    _simulate(lambda control: control.crash(vm))


@simulator.command("reboot-host")
def simulator_reboot_host() -> None:
    """Switch the host off and on again: all machines go off."""
    _simulate(lambda control: control.reboot_host())


@simulator.command("touch")
@click.argument("vm")
@click.argument("deed", type=click.Choice(["pause", "sleep", "fill", "go-on", "save", "snapshot", "merge"]))
def simulator_touch(vm: str, deed: str) -> None:
    """Do to VM what others do with virsh: pause, let sleep, fill the host's disk, save its memory, snapshot."""
    pauses = {"pause": "paused", "sleep": "sleeping", "fill": "full", "go-on": ""}
    if deed in pauses:
        _simulate(lambda control: control.pause(vm, pauses[deed]))
    elif deed == "save":
        _simulate(lambda control: control.save(vm))
    else:
        _simulate(lambda control: control.snapshot(vm, there=deed == "snapshot"))


@simulator.command("lose")
@click.argument("vm")
@click.option("--found", is_flag=True, help="Its host answers again.")
def simulator_lose(vm: str, found: bool) -> None:
    """Let the host of VM not answer."""
    _simulate(lambda control: control.lose(vm, lost=not found))


@simulator.command("fault")
@click.argument("action")
@click.argument("kind")
@click.option("--vm", default="*", help="Only for this machine.")
@click.option("--times", default=1, show_default=True, help="0: until cleared.")
def simulator_fault(action: str, kind: str, vm: str, times: int) -> None:
    """Let the next calls of ACTION fail with KIND (refuse, unavailable, timeout, timeout-after, ignore)."""
    _simulate(lambda control: control.fault(action, kind, vm, times=times or None))


@simulator.command("delay")
@click.argument("action")
@click.argument("seconds", type=float)
@click.option("--vm", default="*", help="Only for this machine.")
@click.option("--times", default=1, show_default=True, help="0: until cleared.")
def simulator_delay(action: str, seconds: float, vm: str, times: int) -> None:
    """Let the next calls of ACTION (or phases build, power_on, boot, power_off) take SECONDS."""
    _simulate(lambda control: control.delay(action, seconds, vm, times=times or None))


@simulator.command("clear")
def simulator_clear() -> None:
    """Take back all faults and delays."""
    _simulate(lambda control: control.clear())
