"""G.711, as the whole house has it."""

from realtime_sync.audio.g711 import decode, decode_table, encode

__all__ = ["decode", "decode_table", "encode"]
