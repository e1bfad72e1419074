"""Credits: the rules of ledger and usage, prices, bills, budgets, payments, and how credits end."""
