"""The process that holds open consoles (``zentry console``), docs/adr/0034.

hub.py takes connections and watches who may stay, browser.py speaks WebSocket, line.py shares a serial port among those
who look, path_test.py looks at the way there.
"""
