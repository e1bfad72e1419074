"""The outside world behind protocols: each has a real class and, for tests and demos, a twin named as such."""
