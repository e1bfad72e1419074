# Shared by the scripts here; sourced, never run.
# After it: ROOT (the clone), VENV, DATA (absolute ZENTRY_DATA), PATH with the sbin folders.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
VENV=$ROOT/.venv
DATA=${ZENTRY_DATA:-$ROOT/data}
case $DATA in /*) ;; *) DATA=$PWD/$DATA ;; esac
# An ordinary user's PATH on Debian lacks the folders of dnsmasq, iptables, libvirtd and mkfs.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

say() { printf 'zentry: %s\n' "$*" >&2; }

die() {
    say "$*"
    exit 1
}

# True for an interpreter that can make our environment: 3.11 or newer, with venv and pip's seed.
good_python() {
    "$1" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

# True when C extensions can be compiled for it.
python_has_headers() {
    "$1" -c 'import sys, os, sysconfig; sys.exit(not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")))' \
        >/dev/null 2>&1
}

# Prints the first usable interpreter, preferring whatever `python3` is.
find_python() {
    local name
    for name in python3 python3.14 python3.13 python3.12 python3.11 /usr/bin/python3; do
        if good_python "$name" && python_has_headers "$name"; then
            command -v "$name"
            return 0
        fi
    done
    return 1
}

# Polls a command until it succeeds: wait_for SECONDS COMMAND [ARGUMENT…]
wait_for() {
    local deadline=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$deadline" ] || return 1
        sleep 0.1
    done
}

# Prints the folder of the newest PostgreSQL's server programs; Debian keeps them off the PATH.
find_postgres() {
    local folder
    folder=$(compgen -G '/usr/lib/postgresql/*/bin/initdb' | sort -V | tail -n 1)
    [ -n "$folder" ] || folder=$(command -v initdb) || return 1
    dirname "$folder"
}

# Prints when a process began (in the kernel's ticks), nothing when there is none.
process_start() {
    local stat
    { stat=$(<"/proc/$1/stat"); } 2>/dev/null || return 0
    # The second field, the name in brackets, may hold blanks: count from behind it.
    set -- ${stat##*) }
    printf '%s\n' "${20}"
}

# Notes a process for a later noted_process: note_process ID FILE
# The start time beside the id tells it from a later process that got the same id.
note_process() {
    printf '%s %s\n' "$1" "$(process_start "$1")" >"$2"
}

# Prints the id a file notes if that very process still runs; fails otherwise.
noted_process() {
    local id began
    read -r id began 2>/dev/null <"$1" || return 1
    [ -n "$began" ] && [ "$(process_start "$id")" = "$began" ] || return 1
    printf '%s\n' "$id"
}

# ---------------------------------------------------------------- accounts: what root starts does not stay root

# Where root notes the libvirt daemon that it started for this data folder: not in the folder, which is another account's.
libvirtd_notes() {
    local before=$DATA/libvirtd # an earlier Zentry's place
    if [ -O "$before/libvirtd.started" ]; then
        printf '%s\n' "$before"
    else
        printf '/run/zentry/%s\n' "$(printf %s "$DATA" | sha256sum | cut -c 1-12)"
    fi
}

# Runs a command as another account, with its groups and the data folder as its home: run_as ACCOUNT COMMAND…
run_as() {
    local account=$1
    shift
    setpriv --reuid "$account" --regid "$(id -g "$account")" --init-groups -- env HOME="$DATA" USER="$account" LOGNAME="$account" "$@"
}

# libvirt's QEMU driver gives up without these accounts. Debian makes them in a package that wants systemd.
make_libvirt_accounts() {
    getent group libvirt >/dev/null || { say "adding the system group libvirt"; groupadd --system libvirt; }
    getent group libvirt-qemu >/dev/null || { say "adding the system group libvirt-qemu"; groupadd --system --gid 64055 libvirt-qemu; }
    getent passwd libvirt-qemu >/dev/null || {
        say "adding the system account libvirt-qemu, which guests run as"
        useradd --system --uid 64055 -K SYS_UID_MAX=64055 --gid libvirt-qemu --home-dir /var/lib/libvirt \
            --no-create-home --shell /usr/sbin/nologin libvirt-qemu
    }
    # Where no udev does it. Were KVM for root alone, libvirt would look what QEMU can do at every single call.
    if [ -c /dev/kvm ] && ! run_as libvirt-qemu test -w /dev/kvm; then
        say "letting the group kvm use /dev/kvm"
        getent group kvm >/dev/null || groupadd --system kvm
        usermod --append --groups kvm libvirt-qemu
        chgrp kvm /dev/kvm && chmod 660 /dev/kvm
    fi
}

# Makes the account zentry where it is missing, and a member of those groups that there are: make_own_account [GROUP…]
make_own_account() {
    local group
    getent passwd zentry >/dev/null || {
        say "adding the system account zentry, which web and worker run as"
        useradd --system --user-group --home-dir /var/lib/zentry --no-create-home --shell /usr/sbin/nologin zentry
    }
    for group in "$@"; do
        if getent group "$group" >/dev/null && ! id -nG zentry | tr ' ' '\n' | grep -qx "$group"; then
            usermod --append --groups "$group" zentry
        fi
    done
}

# Lets an account through the folders above a path, and into it where it is one, by a right for that account alone.
let_pass() { # ACCOUNT PATH
    local part place=
    while IFS= read -r -d / part; do
        [ -z "$part" ] || place=$place/$part
        [ -n "$place" ] && [ -d "$place" ] || continue
        run_as "$1" test -x "$place" && continue
        say "letting the account $1 pass through $place (setfacl -m u:$1:x)"
        setfacl -m "u:$1:x" "$place" ||
            die "the account $1 cannot pass through $place; put Zentry and its data folder elsewhere, such as /opt/zentry and ZENTRY_DATA=/var/lib/zentry"
    done <<<"$2/"
}
