"""The vocabulary of the wire: attrs classes and their codec; no I/O, no threads."""
