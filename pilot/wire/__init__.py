"""The pilot's line to the bus: spool, lines, requests, and the transport that carries them."""
