"""What comes in: forms and their tokens, questions, periods, pages of lists."""
