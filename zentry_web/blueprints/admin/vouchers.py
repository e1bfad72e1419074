"""For admins: vouchers, made singly or in batches, looked for, exported, revoked."""

import secrets

from flask import render_template, request, url_for
from flask.typing import ResponseReturnValue

from zentry_web.blueprints.admin.approvals import waiting_url
from zentry_web.blueprints.admin.forms import ConfirmForm, VoucherForm, end_of
from zentry_web.blueprints.admin.routes import blueprint
from zentry_web.domain.credits.voucher import VoucherDraft, VoucherFilter, VoucherState
from zentry_web.domain.language import _, ngettext
from zentry_web.web.input.paging import PAGE_SIZE, last_key, pages, rows_asked, text_argument
from zentry_web.web.output.files import csv_answer
from zentry_web.web.output.flash import success
from zentry_web.web.output.htmx import go_to
from zentry_web.web.services import services
from zentry_web.web.session.actor import current_actor


@blueprint.get("/vouchers")
def vouchers() -> ResponseReturnValue:
    """All vouchers, or those that were asked for."""
    wanted, service = _wanted(), services().billing.vouchers
    before = text_argument("before") or None
    found = service.list_vouchers(wanted, actor=current_actor(), before=before, limit=rows_asked(PAGE_SIZE))
    shown = {"vouchers": found, "now": services().clock.now(), "states": list(VoucherState)}
    export = {name: value for name, value in request.args.items() if name in ("q", "state", "batch") and value}
    return render_template("admin/vouchers.html", **shown, wanted=wanted, export=export, **pages(last_key(found, "id")))


@blueprint.get("/vouchers.csv")
def voucher_file() -> ResponseReturnValue:
    """The same vouchers as CSV, to be handed out."""
    text = services().billing.vouchers.export_csv(_wanted(), actor=current_actor())
    return csv_answer(text, "zentry-vouchers")


@blueprint.route("/vouchers/new", methods=["GET", "POST"])
def make_vouchers() -> ResponseReturnValue:
    """Make one or a batch."""
    form = VoucherForm(data={"count": 1, "uses": 1, "idempotency_key": secrets.token_hex(16)})
    if request.method == "POST":
        service, actor = services().billing.vouchers, current_actor()
        key = form.idempotency_key.data or None
        if form.submit(lambda: service.create(_draft(form), actor=actor, idempotency_key=key)):
            if url := waiting_url(form.result):
                return go_to(url)
            made = form.result
            success(ngettext("The voucher is made.", "%(num)s vouchers are made.", len(made)))
            return go_to(url_for("admin.vouchers", batch=made[0].batch_id))
    return render_template("admin/voucher_new.html", form=form), form.status


@blueprint.route("/vouchers/<voucher_id>/revoke", methods=["GET", "POST"])
def revoke_voucher(voucher_id: str) -> ResponseReturnValue:
    """Make a code worthless from now on."""
    service, actor = services().billing.vouchers, current_actor()
    found = service.get_voucher(voucher_id, actor=actor)
    form = ConfirmForm()
    if request.method == "POST" and form.submit(lambda: service.revoke(voucher_id, actor=actor)):
        success(_("Voucher %(code)s is revoked.", code=found.shown_code))
        return go_to(url_for("admin.vouchers", q=found.shown_code))
    return render_template("admin/voucher_revoke.html", form=form, voucher=found), form.status


def _wanted() -> VoucherFilter:
    state = text_argument("state")
    known = VoucherState(state) if state in list(VoucherState) else None
    return VoucherFilter(text_argument("q"), known, text_argument("batch"))


def _draft(form: VoucherForm) -> VoucherDraft:
    return VoucherDraft(
        value_micro=form.value.micro or 0,
        count=form.count.data or 0,
        uses=form.uses.data or 0,
        expires_at=end_of(form.last_day.data) if form.last_day.data else None,
        note=form.text("note"),
        promo_days=(form.promo_days.data or 0) if form.is_promo.data else None,
    )
