"""The admin's books: what takes a second admin (approvals), what was moved (ledger_browser, totals), what is given back
or up (refunds, write_offs), and ``zentry verify`` (verification, checks, stop_checks).
"""
