"""Questions that keep programs out: base.py has the protocol and its null, siteverify.py the real one."""
