"""Who is there: signing in and on, programs, proofs, viewing as somebody."""
