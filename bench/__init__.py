"""``make bench``: how fast Zentry is, each figure beside its baseline from the same run."""
