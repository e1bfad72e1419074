"""The machines of a bin as a list: counted, as a file, and several restored or purged at once, each by itself."""

from collections.abc import Iterator, Sequence

from sqlalchemy import and_, func, select

from zentry_web.domain.language import _, lazy
from zentry_web.domain.query_language import EVERYTHING, ListSearch
from zentry_web.domain.user import Actor
from zentry_web.domain.vms.bin import BinChange, BinnedVM, BinSort, rates_back
from zentry_web.domain.vms.fleet import MAX_ORDERED, confirmation
from zentry_web.domain.vms.vm import Rates
from zentry_web.models import DbProject, DbVM
from zentry_web.services.base_service import BaseService, Core
from zentry_web.services.shared.access import require_self
from zentry_web.services.shared.bin_search import binned_conditions
from zentry_web.services.shared.fields import invalid
from zentry_web.services.shared.one_by_one import Became, EachOutcome, EachResult, do_each
from zentry_web.services.shared.paging import CHUNK, in_chunks, page_of
from zentry_web.services.shared.rate_limits import RateLimiter
from zentry_web.services.vms.bin import VMBin
from zentry_web.services.vms.bin_queries import of_deleter, read_binned_vms
from zentry_web.services.vms.payer import require_shown

_NOBODY = lazy("Choose at least one machine.")


class VMBinLists(BaseService):
    """A part of VMService."""

    name = "vm_bin_lists"

    def __init__(self, core: Core, binned: VMBin) -> None:
        super().__init__(core)
        self._bin, self._limiter = binned, RateLimiter(core)

    def count(self, user_id: str, *, actor: Actor, search: ListSearch = EVERYTHING) -> int:
        """How many ``VMBin.list_binned`` has in all. One statement."""
        require_self(actor, user_id)
        which = and_(DbVM.purge_at.is_not(None), of_deleter(user_id), *binned_conditions(search, DbVM))
        query = select(func.count()).select_from(DbVM).join(DbProject, DbProject.id == DbVM.project_id).where(which)
        with self.reading() as session:
            return session.scalar(query) or 0

    def export(
        self, user_id: str, *, actor: Actor, search: ListSearch = EVERYTHING, sort: BinSort = BinSort.LATEST
    ) -> Iterator[BinnedVM]:
        """The same, all of them, for a file; read in chunks. Raises RateLimitedError."""
        require_self(actor, user_id)
        self._limiter.check_actor("file", actor)

        def read(before: str | None) -> tuple[Sequence[BinnedVM], str | None]:
            page = self._bin.list_binned(
                user_id, actor=actor, search=search, before=before or "", limit=CHUNK, sort=sort
            )  # fmt: skip
            return page_of(page, CHUNK, lambda vm: vm.id)

        return in_chunks(read)

    def list_chosen(self, vm_ids: Sequence[str], *, actor: Actor) -> list[BinnedVM]:
        """These machines by name, as far as they lie in the bin and the person may restore them. Three statements."""
        ids = [each[:40] for each in dict.fromkeys(vm_ids)][:MAX_ORDERED]
        with self.reading() as session:
            which = and_(of_deleter(actor.id), DbVM.id.in_(ids))
            return read_binned_vms(
                session, self._bin.prices(), actor, which, limit=MAX_ORDERED, sort=BinSort.NAME
            )  # fmt: skip

    def run(
        self, change: BinChange, vm_ids: Sequence[str], *, actor: Actor, confirm: str = "", shown: Rates | None = None
    ) -> list[Became[BinnedVM]]:
        """Restore each of these under its own name, or purge each, and tell what became of each that is still there.

        Raises ValidationError (``vms``: none, too many; ``confirm``: what is typed before several are purged),
        PriceChangedError (another price than was ``shown`` for those that can come back), RateLimitedError.
        """
        if len(set(vm_ids)) > MAX_ORDERED:
            raise invalid({"vms": _("Choose at most %(most)s machines at a time.", most=MAX_ORDERED)})
        chosen = self.list_chosen(vm_ids, actor=actor)
        if not chosen:
            raise invalid({"vms": _NOBODY})
        if change == BinChange.PURGE and confirm.strip() != confirmation(chosen):
            raise invalid({"confirm": _("Type “%(chosen)s” to confirm.", chosen=confirmation(chosen))})
        if change == BinChange.RESTORE:
            _require_price(shown, chosen)
        self._limiter.check_actor("bulk", actor)
        do = self._restore if change == BinChange.RESTORE else self._purge
        return do_each(chosen, lambda vm: do(vm, actor), self.give_way)

    def _restore(self, vm: BinnedVM, actor: Actor) -> EachResult:
        self._bin.restore(vm.id, vm.name, actor=actor, shown=vm.rates)
        return EachOutcome.DONE, ""

    def _purge(self, vm: BinnedVM, actor: Actor) -> EachResult:
        if vm.is_going:
            return EachOutcome.UNCHANGED, _("It is being deleted for good already.")
        self._bin.purge(vm.id, vm.name, actor=actor)
        return EachOutcome.DONE, ""


def _require_price(shown: Rates | None, chosen: Sequence[BinnedVM]) -> None:
    words = _("They would come back at another price than this page showed: nothing was ordered yet.")
    if len(chosen) == 1:
        words = _("It would come back at another price than this page showed: nothing was ordered yet.")
    require_shown(shown, rates_back(chosen), words)
