"""What the owner of a machine reads when others have done something to it on the host: the same from every driver."""

from zentry_web.domain.language import kept

CRASHED = kept("The machine’s process on the host ended unexpectedly.")
SAVED = kept("Its memory was saved on the host (such as by virsh managedsave). Starting it goes on from there.")
SAVED_FIRST = kept(
    "The machine’s memory is saved on the host, and going on from there with another size or disk would ruin what it "
    "wrote. Start it first."
)
SNAPSHOT = kept(
    "On the host somebody made a snapshot of the machine, which would be lost or no longer fit. The operator can "
    "remove it."
)
NO_SUCH_SNAPSHOT = kept("The hypervisor no longer has this snapshot.")
NO_SUCH_BACKUP = kept("The backup is no longer there.")
BACKUP_CHANGED = kept("The backup’s file is no longer what was written, so it is not used.")
NO_SUCH_COPY = kept("The copy of the disk is not on the host any more.")
NO_ROOM_SNAPSHOT = kept("The host has no room for the machine’s memory beside its disk.")
PAUSED = kept(
    "It was paused on the host, not by Zentry (such as by virsh suspend). Resume lets it go on where it stopped."
)
SLEEPING = kept("The guest put itself to sleep. Waking it lets it go on where it stopped.")
DISK_FULL = kept("Paused: the host’s disk is full. Once there is room, Resume lets it go on where it stopped.")
DISK_FAILED = kept(
    "Paused: the host’s disk failed. Once it works again, Resume lets the machine go on where it stopped."
)
STILL_FULL = kept("The host’s disk is still full, so the machine would stop again at once. Nothing in it is lost.")
OFF_NO_SUSPEND = kept("The machine is off, so it cannot be suspended.")
OFF_NO_RESET = kept("The machine is off, so it cannot be reset.")
RUNS_NO_REBUILD = kept("The machine is running, so its disk cannot be exchanged.")
RUNS_NO_RESCUE = kept("The machine is running, so what it boots cannot change.")
NO_RESCUE = kept("There is no rescue system on the host. The operator makes it by building the small image anew.")
OFF_NOT_PAUSED = kept("The machine is off, so it cannot go on.")
NO_PLACE = kept("This installation has no place for backups. The operator can give it one.")
SAME_DISK = kept(
    "The place for backups is on the same disk as the machines, so one fault would take both. The operator can choose "
    "another, or allow it."
)
OFF_FIRST = kept("The machine is on. Stop it first.")
OFF_NO_CONSOLE = kept("The machine is off, so it has no console.")
NO_SCREEN_YET = kept(
    "The machine was started before it could have a screen. It has one after it was stopped and started."
)
OFF_NO_AGENT = kept("The machine is off, so no agent answers in it.")
NO_AGENT = kept("No agent answers in the guest. Rescue is the other way to a new password.")
AGENT_SILENT = kept(
    "The guest’s agent did not answer in time: the password may be the new one or the one from before. Ask for another "
    "later, or set one in rescue."
)
AGENT_REFUSED = kept("The guest’s agent did not set the password; the guest may have no such user.")
