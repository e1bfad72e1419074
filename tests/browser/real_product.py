"""A whole Zentry on real libvirt."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from tests.browser.product import Product
from tests.libvirt_fixture import image_dir, lend_images, libvirt_uri
from zentry_web.adapters.compute.libvirt.driver import LibvirtCompute


@contextlib.contextmanager
def product_on_libvirt(folder: Path, **settings: object) -> Iterator[Product]:
    """One that runs. Its guests, network and disks are gone afterwards."""
    uri = libvirt_uri(folder / "libvirtd-notes")
    product = Product(folder, compute="libvirt", libvirt_uri=uri, admin_factor="optional", **settings)
    product.data.mkdir()
    lend_images(product.data)
    try:
        yield product.start()
    finally:
        product.stop()
        driver = LibvirtCompute(uri, product.data, product.namespace(), image_dir())
        driver.remove_everything()
        driver.close()
