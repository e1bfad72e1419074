"""The seed: a small ISO from which a guest learns its name, its keys and what to run."""

import io

from pycdlib import PyCdlib

from zentry_web.adapters.compute.base import MachineSpec

LABEL = "cidata"
# ISO 9660 allows eight capital letters; Rock Ridge and Joliet carry the real names.
_FILES = (("meta-data", "/METADATA.;1"), ("authorized_keys", "/AUTHKEYS.;1"), ("user-data", "/USERDATA.;1"))


def seed_files(spec: MachineSpec) -> dict[str, bytes]:
    """The seed's files and their contents. Line ends of text typed in a browser become Unix ones."""
    keys = [key.strip() for key in spec.ssh_keys if key.strip()]
    return {
        "meta-data": f"instance-id: {spec.vm_id}\nlocal-hostname: {spec.name}\n".encode(),
        "authorized_keys": "".join(f"{key}\n" for key in keys).encode(),
        "user-data": spec.user_data.replace("\r\n", "\n").encode(),
    }


def build_seed(spec: MachineSpec) -> bytes:
    """The ISO image."""
    files = seed_files(spec)
    iso = PyCdlib()
    iso.new(interchange_level=3, joliet=3, rock_ridge="1.09", vol_ident=LABEL)
    for name, iso_path in _FILES:
        content = files[name]
        iso.add_fp(io.BytesIO(content), len(content), iso_path, rr_name=name, joliet_path=f"/{name}")
    out = io.BytesIO()
    iso.write_fp(out)
    iso.close()
    return out.getvalue()
