"""A machine's console: its page, a window of its own, tickets, and the WebSocket (docs/adr/0034)."""

from flask import jsonify, render_template, request
from flask.typing import ResponseReturnValue

from zentry_web.blueprints.vms.routes import blueprint
from zentry_web.blueprints.vms.view import console_context
from zentry_web.domain.projects.project import ProjectAction
from zentry_web.domain.vms.console import ConsoleKind
from zentry_web.web import websocket
from zentry_web.web.services import services
from zentry_web.web.session.actor import current_actor, here


@blueprint.get("/<vm_id>/console")
def console(vm_id: str) -> ResponseReturnValue:
    """What is typed on and looked at, and what the worker collected of the serial port: its last 64 KiB."""
    return render_template("vms/console.html", kind=_kind(), **console_context(vm_id))


@blueprint.get("/<vm_id>/console/window")
def console_window(vm_id: str) -> ResponseReturnValue:
    """The same in a window of its own, without anything else."""
    vm = services().vms.get_vm(vm_id, actor=current_actor(), action=ProjectAction.CONSOLE)
    return render_template("vms/console_window.html", kind=_kind(), vm=vm)


@blueprint.post("/<vm_id>/console/tickets")
def console_ticket(vm_id: str) -> ResponseReturnValue:
    """A ticket for one console, as JSON."""
    kind, session = request.form.get("kind", ""), here().session_token
    ticket = services().vms.consoles.order(vm_id, kind, session, actor=current_actor())
    return jsonify(protocols=websocket.protocols(ticket.token)), 201


@blueprint.route("/<vm_id>/console/socket", websocket=True)
@blueprint.get("/<vm_id>/console/socket")  # what is no WebSocket is told so
def console_socket(vm_id: str) -> ResponseReturnValue:
    """The WebSocket: whoever brings a ticket is let in, and the connection goes to the process that holds consoles."""
    vms = services().vms
    vms.get_vm(vm_id, actor=current_actor(), action=ProjectAction.CONSOLE)
    accept, ticket = websocket.require_handshake()
    opened = vms.consoles.redeem(vm_id, ticket, here().session_token, actor=current_actor())
    return websocket.Upgrade(accept, lambda connection: vms.consoles.hand_over(opened, connection))


def _kind() -> ConsoleKind:
    return ConsoleKind.SCREEN if request.args.get("show") == ConsoleKind.SCREEN else ConsoleKind.TEXT
