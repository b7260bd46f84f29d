"""One live connection made into a session: its reader, its streams, its commands, its answers."""
