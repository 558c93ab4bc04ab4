"""A small HTTP proxy that only connects: prints its port, then each place that it is asked for.

`python connect_proxy.py [USER:PASSWORD]`; with a pair, whoever does not show it is refused.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import sys


async def pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await source.read(1 << 16):
            target.write(data)
            await target.drain()
    target.close()


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    asked, *headers = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    method, place, _ = asked.split(" ")
    wanted = [f"Proxy-Authorization: Basic {base64.b64encode(pair.encode()).decode()}" for pair in sys.argv[1:]]
    if method != "CONNECT" or not set(wanted) <= set(headers):
        print(f"refused {place}", flush=True)
        writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
        writer.close()
        return
    print(place, flush=True)
    host, _, port = place.rpartition(":")
    far_reader, far_writer = await asyncio.open_connection(host, int(port))
    writer.write(b"HTTP/1.1 200 Connection established\r\nVia: a proxy\r\n\r\n")
    await asyncio.gather(pump(reader, far_writer), pump(far_reader, writer))


async def main() -> None:
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
