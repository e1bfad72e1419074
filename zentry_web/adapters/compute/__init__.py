"""What runs the machines, behind one protocol (ADR 0006).

base: the protocol and its data · words: what owners read when others have done something to a machine · images: the
guest images in a folder · host: facts about this machine · libvirt: the real driver · simulator: its twin, in a file.
"""
