"""New prices: announcing (changes, coming), telling owners (telling), trying them on the past (rehearsal)."""
