"""The seed: a small ISO from which a guest learns its name, its keys and what to run."""

import io
import json

from pycdlib import PyCdlib

from zentry_web.adapters.compute.base import MachineSpec

LABEL = "cidata"
# ISO 9660 allows eight capital letters; Rock Ridge and Joliet carry the real names.
_FILES: tuple[tuple[str, str], ...] = (
    ("meta-data", "/METADATA.;1"),
    ("authorized_keys", "/AUTHKEYS.;1"),
    ("user-data", "/USERDATA.;1"),
)


def seed_files(spec: MachineSpec) -> dict[str, bytes]:
    """The seed's files and their contents. Line ends of text typed in a browser become Unix ones."""
    keys = [key.strip() for key in spec.ssh_keys if key.strip()]
    about = f"instance-id: {spec.vm_id}\nlocal-hostname: {spec.name}\n"
    if keys:  # where cloud-init looks for them; JSON's strings are YAML's
        about += "public-keys:\n" + "".join(f"  - {json.dumps(key)}\n" for key in keys)
    return {
        "meta-data": about.encode(),
        "authorized_keys": "".join(f"{key}\n" for key in keys).encode(),
        "user-data": spec.user_data.replace("\r\n", "\n").encode(),
    }


def build_seed(spec: MachineSpec, password_hash: str = "") -> bytes:
    """The ISO image. ``password_hash``: of the rescue system, whose root has that password; it runs no user data."""
    files, places = seed_files(spec), _FILES
    if password_hash:
        files |= {"password": f"root:{password_hash}\n".encode(), "user-data": b""}
        places += (("password", "/PASSWORD.;1"),)
    iso = PyCdlib()
    iso.new(interchange_level=3, joliet=3, rock_ridge="1.09", vol_ident=LABEL)
    for name, iso_path in places:
        content = files[name]
        iso.add_fp(io.BytesIO(content), len(content), iso_path, rr_name=name, joliet_path=f"/{name}")
    out = io.BytesIO()
    iso.write_fp(out)
    iso.close()
    return out.getvalue()
