"""The real driver: QEMU guests under libvirt on this machine.

driver: the protocol · connection, bounded: a connection that cannot hang for ever · definitions, xml, accelerator,
seed: what a machine is made of · storage, disks, files, console: its files · network, filter: its card · domains,
events, pauses, foreign: what libvirt tells of it, and what others did to it.
"""
