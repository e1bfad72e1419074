"""Works a bill or statement of Zentry's out again from its CSV alone:  python recompute.py statement.csv

Each charge must be seconds × rate ÷ 3600, rounded half to even, its seconds those between 'from' and 'to', its rate the
prices of size and image. Charges must add up to the total; opening balance, credits and charges to the closing."""

import csv
import sys
from datetime import datetime
from fractions import Fraction
from pathlib import Path

NUMBERS = ("amount_micro", "seconds", "rate_micro_per_hour", "size_micro_per_hour", "surcharge_micro_per_hour")
sums, wrong = {}, []
for number, row in enumerate(csv.DictReader(Path(sys.argv[1]).read_text("utf-8-sig").splitlines()), start=2):
    amount, seconds, rate, size, surcharge = (int(row[name] or 0) for name in NUMBERS)
    sums[row["record"]] = sums.get(row["record"], 0) + amount
    if row["record"] != "charge":
        continue
    length = datetime.fromisoformat(row["to"]) - datetime.fromisoformat(row["from"])
    if row["kind"] == "usage" and length.total_seconds() != seconds:
        wrong.append(f"line {number}: {length} is not {seconds} s")
    if size + surcharge != rate or round(Fraction(seconds * rate, 3600)) != amount:  # Python rounds half to even
        wrong.append(f"line {number}: {seconds} s at {size} + {surcharge} = {rate} an hour are not {amount}")
charged = sums.get("charge", 0)
closing = sums.get("opening", 0) + sums.get("credit", 0) + sums.get("written_off", 0) - charged
for name, found in (("total", charged), ("closing", closing)):
    if name in sums and sums[name] != found:
        wrong.append(f"the {name} is given as {sums[name]}, and comes to {found}")
print("\n".join(wrong) or f"All of it agrees: {charged} micro-credits charged.")  # noqa: T201
sys.exit(bool(wrong))
