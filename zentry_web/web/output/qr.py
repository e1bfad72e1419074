"""QR codes as pictures that the page carries in itself: nobody else is asked to draw a secret."""

import segno


def qr_data_uri(text: str) -> str:
    """An SVG as a data: address for an <img>, dark on white in every theme."""
    return str(segno.make(text, micro=False, error="m").svg_data_uri(scale=5, border=3, dark="#000", light="#fff"))
