"""Seconds into charges: intervals, holds, settlement, and the prices that they follow.

intervals, interval_rows, interval_sets, resizes, handover: opening and closing · settlement, runs: charging ·
price_versions, price_list, price_switch: what a second costs · reports: what was used ·
runway: how long credits last · expiries: promotional credit that ends.
"""
