"""Machines' files on this host: disks, seeds, and what others have done to them."""
