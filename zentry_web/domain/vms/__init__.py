"""Machines: states and what may be done in which, sizes, fleets, operations, the recycle bin."""
