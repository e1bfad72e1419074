"""Credits that come in: top_ups and their book of facts (book, rows), refunds, automatic top-ups (automatic), vouchers;
desk is the admin's.
"""
