"""The parts of ProjectService: what people share.

members, invitations, ownership: who takes part and who pays · settings, bin, bin_queries: what becomes of it ·
directory, figures, rows, finding: lists and the numbers in them.
"""
