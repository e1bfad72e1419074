"""For admins: vouchers, made singly or in batches, looked for, exported, revoked."""

import secrets
from datetime import UTC, date, datetime, timedelta

from flask import render_template, request, url_for
from flask.typing import ResponseReturnValue

from zentry_web.blueprints.admin.forms import ConfirmForm, VoucherForm
from zentry_web.blueprints.admin.routes import blueprint
from zentry_web.domain.voucher import VoucherDraft, VoucherFilter, VoucherState
from zentry_web.web.actor import current_actor
from zentry_web.web.files import csv_answer
from zentry_web.web.filters import viewer_zone
from zentry_web.web.flash import success
from zentry_web.web.htmx import go_to, is_htmx
from zentry_web.web.paging import PAGE_SIZE, last_key, pages, text_argument
from zentry_web.web.services import services


@blueprint.get("/vouchers")
def vouchers() -> ResponseReturnValue:
    """All vouchers, or those that were asked for."""
    wanted, service = _wanted(), services().get_billing_service().vouchers
    before = text_argument("before") or None
    found = service.list_vouchers(wanted, actor=current_actor(), before=before, limit=PAGE_SIZE)
    template = "admin/_vouchers.html" if is_htmx() else "admin/vouchers.html"
    shown = {"vouchers": found, "now": services().clock.now(), "states": list(VoucherState)}
    export = {name: value for name, value in request.args.items() if name in ("q", "state", "batch") and value}
    return render_template(template, **shown, wanted=wanted, export=export, **pages(last_key(found, "id")))


@blueprint.get("/vouchers.csv")
def voucher_file() -> ResponseReturnValue:
    """The same vouchers as CSV, to be handed out."""
    text = services().get_billing_service().vouchers.export_csv(_wanted(), actor=current_actor())
    return csv_answer(text, "zentry-vouchers")


@blueprint.route("/vouchers/new", methods=["GET", "POST"])
def make_vouchers() -> ResponseReturnValue:
    """Make one or a batch."""
    form = VoucherForm(data={"count": 1, "uses": 1, "idempotency_key": secrets.token_hex(16)})
    if request.method == "POST":
        service, actor = services().get_billing_service().vouchers, current_actor()
        key = form.idempotency_key.data or None
        if form.submit(lambda: service.create(_draft(form), actor=actor, idempotency_key=key)):
            made = form.result
            success("The voucher is made." if len(made) == 1 else f"{len(made)} vouchers are made.")
            return go_to(url_for("admin.vouchers", batch=made[0].batch_id))
    template = "admin/_voucher_new.html" if is_htmx() else "admin/voucher_new.html"
    return render_template(template, form=form), form.status


@blueprint.route("/vouchers/<voucher_id>/revoke", methods=["GET", "POST"])
def revoke_voucher(voucher_id: str) -> ResponseReturnValue:
    """Make a code worthless from now on."""
    service, actor = services().get_billing_service().vouchers, current_actor()
    found = service.get_voucher(voucher_id, actor=actor)
    form = ConfirmForm()
    if request.method == "POST" and form.submit(lambda: service.revoke(voucher_id, actor=actor)):
        success(f"Voucher {found.shown_code} is revoked.")
        return go_to(url_for("admin.vouchers", q=found.shown_code))
    template = "admin/_voucher_revoke.html" if is_htmx() else "admin/voucher_revoke.html"
    return render_template(template, form=form, voucher=found), form.status


def _wanted() -> VoucherFilter:
    state = text_argument("state")
    known = VoucherState(state) if state in list(VoucherState) else None
    return VoucherFilter(text_argument("q"), known, text_argument("batch"))


def _draft(form: VoucherForm) -> VoucherDraft:
    return VoucherDraft(
        value_micro=form.value.micro or 0,
        count=form.count.data or 0,
        uses=form.uses.data or 0,
        expires_at=_end_of(form.last_day.data) if form.last_day.data else None,
        note=form.text("note"),
    )


def _end_of(day: date) -> datetime:
    """The midnight at the end of a day, in the viewer's zone."""
    if day >= date(9000, 1, 1):
        return datetime(9000, 1, 1, tzinfo=UTC)  # too far away in any zone: the service says so
    after = day + timedelta(days=1)
    return datetime(after.year, after.month, after.day, tzinfo=viewer_zone()).astimezone(UTC)
