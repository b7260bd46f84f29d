"""Does a saturated TLS connection with one reader and one writer ever lose itself? Opens thousands and counts.

    python benchmarks/tls_stress.py --connections 2000 --seconds 900
    python benchmarks/tls_stress.py --connections 300 --client bare     # websocket-client as it is, to compare

Each connection receives small frames on a thread while the main thread sends as many; a server in a process of its
own does the same, then closes with code 1000. Anything but that end, with every frame there, is a loss. Exit code:
0 without a loss, 1 with one, 2 where the time ran out before the connections were done.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import collections
import hashlib
import logging
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import trustme
import websocket

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from realtime_sync.errors import RealtimeSyncError
from realtime_sync.timeouts import Timeouts
from realtime_sync.transport import connect

PAYLOAD = b"x" * 100
DONE = b"\x88\x02\x03\xe8"  # a close frame with code 1000


async def serve(certificate: str, frames: int) -> None:
    """The server: floods and counts at once. asyncio drives OpenSSL from one thread, so the race is not its own."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            key = next(line.split(b": ")[1] for line in head.split(b"\r\n") if line.startswith(b"Sec-WebSocket-Key"))
            accept = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
            writer.write(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
            )

            async def flood() -> None:
                for _ in range(frames):
                    writer.write(b"\x81" + bytes([len(PAYLOAD)]) + PAYLOAD)
                    await writer.drain()

            flooding = asyncio.ensure_future(flood())
            for _ in range(frames):
                await reader.readexactly(2 + 4 + len(PAYLOAD))
            await flooding
            writer.write(DONE)
            await writer.drain()
            await reader.read()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=context)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)  # until the parent is gone


def ours(url: str, context: ssl.SSLContext, frames: int) -> str:
    """One connection of ours; what went wrong, or nothing."""
    received, ends = [0], [""]

    def read() -> None:
        try:
            while True:
                connection.receive()
                received[0] += 1
        except RealtimeSyncError as exc:
            info = connection.close_info
            if info is None or info.code != 1000:
                ends[0] = f"receive: {type(exc).__name__}: {exc} ({exc.__cause__!r})"

    try:
        connection = connect(url, headers={}, timeouts=Timeouts(), ssl_context=context)
    except RealtimeSyncError as exc:
        return f"connect: {type(exc).__name__}: {exc}"
    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        for _ in range(frames):
            connection.send_text(PAYLOAD)
    except RealtimeSyncError as exc:
        return f"send: {type(exc).__name__}: {exc} ({exc.__cause__!r})"
    finally:
        reader.join(20)
        connection.dispose()
    return ends[0] or _count(reader, received[0], frames)


def bare(url: str, context: ssl.SSLContext, frames: int) -> str:
    """The same with websocket-client alone, a time-out set: the usual way, and the one that loses connections."""
    received, ends = [0], [""]
    client = websocket.WebSocket(sslopt={"context": context}, skip_utf8_validation=True)

    def read() -> None:
        try:
            while client.recv_data(control_frame=True)[0] != websocket.ABNF.OPCODE_CLOSE:
                received[0] += 1
        except Exception as exc:
            ends[0] = f"receive: {type(exc).__name__}: {exc}"

    client.connect(url, timeout=30)
    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        for _ in range(frames):
            client.send(PAYLOAD)
    except Exception as exc:
        return f"send: {type(exc).__name__}: {exc}"
    finally:
        reader.join(20)
        client.shutdown()
    return ends[0] or _count(reader, received[0], frames)


def _count(reader: threading.Thread, received: int, frames: int) -> str:
    if reader.is_alive():
        return "the reader hangs"
    return "" if received == frames else f"{frames - received} frames are missing"


def run(options: argparse.Namespace, port: int, context: ssl.SSLContext) -> int:
    """Open the connections one after the other; the exit code."""
    attempt = {"ours": ours, "bare": bare}[options.client]
    losses: collections.Counter[str] = collections.Counter()
    began, done = time.monotonic(), 0
    while done < options.connections and time.monotonic() - began < options.seconds:
        problem = attempt(f"wss://127.0.0.1:{port}/", context, options.frames)
        done += 1
        if problem:
            losses[problem] += 1
    seconds = time.monotonic() - began
    python = ".".join(map(str, sys.version_info[:3]))
    print(
        f"Python {python}, {ssl.OPENSSL_VERSION}, client {options.client}: {done} of {options.connections} "
        f"connections, {2 * options.frames} frames each, {seconds:.0f} s, {sum(losses.values())} lost"
    )
    for problem, count in losses.most_common():
        print(f"  {count:5} x {problem}")
    return 1 if losses else 0 if done == options.connections else 2


def main() -> int:
    """Start the server's process, then the connections."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--connections", type=int, default=2000)
    parser.add_argument("--frames", type=int, default=1500, help="text frames of 100 bytes, each way (default 1500)")
    parser.add_argument("--seconds", type=float, default=1200, help="stop after this long (default 1200)")
    parser.add_argument("--client", choices=["ours", "bare"], default="ours")
    parser.add_argument("--serve", metavar="CERTIFICATE", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # it tells of each write to a lost connection
        asyncio.run(serve(options.serve, options.frames))
        return 0

    authority = trustme.CA()
    context = ssl.create_default_context()
    authority.configure_trust(context)
    with tempfile.TemporaryDirectory() as folder:
        certificate = str(Path(folder) / "server.pem")
        authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(certificate)
        server = subprocess.Popen(
            [sys.executable, __file__, "--serve", certificate, "--frames", str(options.frames)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        with server:
            assert server.stdin is not None
            assert server.stdout is not None
            try:
                return run(options, int(server.stdout.readline()), context)
            finally:
                server.stdin.close()
                server.wait(10)


if __name__ == "__main__":
    sys.exit(main())
