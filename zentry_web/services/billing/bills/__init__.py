"""What the owner sees: bills per month, statements, spending (lately: of the last days)."""
