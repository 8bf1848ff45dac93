"""The operator's way into the lab's internet: a SOCKS5 server (RFC 1928), CONNECT only, no authentication."""

from __future__ import annotations

import asyncio
import socket
import struct

_VERSION = 5
_SUCCEEDED, _REFUSED, _UNREACHABLE, _COMMAND, _ADDRESS = 0, 5, 4, 7, 8


async def serve(listener: socket.socket) -> None:
    """Accept on ``listener`` until cancelled."""
    clients: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # The event loop itself holds tasks by weak references only.
        task = asyncio.ensure_future(_client(reader, writer))
        clients.add(task)
        task.add_done_callback(clients.discard)

    server = await asyncio.start_server(accept, sock=listener)
    async with server:
        await server.serve_forever()


async def _client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        target = await _greet(reader, writer)
        if target is None:
            return
        try:
            far_reader, far_writer = await asyncio.wait_for(asyncio.open_connection(*target), 10)
        except (OSError, TimeoutError) as error:
            await _reply(writer, _REFUSED if isinstance(error, ConnectionRefusedError) else _UNREACHABLE)
            return
        await _reply(writer, _SUCCEEDED)
        await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))
    except (OSError, asyncio.IncompleteReadError):
        pass  # either side may leave at any time
    finally:
        writer.close()


async def _greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> tuple[str, int] | None:
    """Read the greeting and the request; answer what cannot be served."""
    version, methods = await reader.readexactly(2)
    await reader.readexactly(methods)
    if version != _VERSION:
        return None
    writer.write(bytes([_VERSION, 0]))
    _, command, _, kind = await reader.readexactly(4)
    if kind == 1:
        host = socket.inet_ntoa(await reader.readexactly(4))
    elif kind == 3:
        host = (await reader.readexactly((await reader.readexactly(1))[0])).decode("idna")
    else:
        await _reply(writer, _ADDRESS)
        return None
    (port,) = struct.unpack("!H", await reader.readexactly(2))
    if command != 1:
        await _reply(writer, _COMMAND)
        return None
    return host, port


async def _reply(writer: asyncio.StreamWriter, code: int) -> None:
    writer.write(bytes([_VERSION, code, 0, 1, 0, 0, 0, 0, 0, 0]))
    await writer.drain()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy one direction to its end, then close that direction only."""
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        try:
            if writer.can_write_eof():
                writer.write_eof()
        except OSError:
            writer.close()
