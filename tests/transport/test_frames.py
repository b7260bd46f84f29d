from __future__ import annotations

import os
import struct

import pytest
from websocket import ABNF

from realtime_sync.transport.frames import client_frame


@pytest.mark.parametrize("length", [0, 1, 2, 3, 4, 5, 125, 126, 127, 1001, 65535, 65536, 70003])
def test_a_frame_of_any_length_is_the_one_that_websocket_client_writes(
    length: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "urandom", lambda count: b"\x00\x7f\x80\xff"[:count])
    payload = bytes(i * i % 256 for i in range(length))
    for opcode in (ABNF.OPCODE_TEXT, ABNF.OPCODE_PONG):
        assert client_frame(opcode, payload) == ABNF.create_frame(payload, opcode).format()


def test_every_frame_has_a_mask_of_its_own() -> None:
    frames = [bytes(client_frame(ABNF.OPCODE_TEXT, b"\0" * 8)) for _ in range(100)]
    assert len({frame[2:6] for frame in frames}) > 90
    for frame in frames:
        assert frame == struct.pack("!BB", 0x81, 0x88) + frame[2:6] * 3  # zeros, masked, are the mask itself
