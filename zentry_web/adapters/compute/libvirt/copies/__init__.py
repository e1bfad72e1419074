"""Copies of machines' disks: how they are read while a guest writes, backups and their proofs."""
