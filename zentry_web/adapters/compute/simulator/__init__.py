"""The twin: a hypervisor that exists only in a file, which several processes share.

driver: the protocol · store: the file · view, console, load: what is seen of a machine at a moment · events: what
other processes did · faults, control: what a test, a demo or ``zentry simulator`` orders.
"""
