"""Double entry: posting transfers, reading and locking accounts (posting), what is loaded under a wallet's lock
(wallets), an admin's credits (by_hand), promotional ones (promotions), and the few statements that are sent past
SQLAlchemy (fast_sql).
"""
