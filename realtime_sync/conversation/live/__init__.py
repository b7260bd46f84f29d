"""What is said in a live session, where both sides may speak at once: fragments, turns, the conversation. Pure."""
