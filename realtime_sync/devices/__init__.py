"""Microphones and speakers, with or without a session: the machine's, files in their place, and the gate between them.

Their public names are those of ``realtime_sync.voice``.
"""
