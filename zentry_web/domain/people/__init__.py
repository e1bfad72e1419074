"""Who people are and how they show it: accounts’ keys, factors, tokens, and what they are told."""
