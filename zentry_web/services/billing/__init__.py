"""The parts of BillingService, by subject; each knows only those below it.

books: the admin's side and ``zentry verify`` · bills, limits, payments, prices: what owners see, what happens at the
end, credits that come in, new prices · usage: seconds into charges · ledger: double entry.
"""
