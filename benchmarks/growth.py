"""A conversation that grows: does asking take longer, and how much memory does each ask leave behind?

Run as a process of its own: ``python growth.py realtime_sync growth ASKS URL`` prints a JSON line.
"""

from __future__ import annotations

import json
import statistics
import sys
import time

from live import resources

from realtime_sync import OpenAIClient, RealtimeConversationSession

SOME = 100  # asks
WARMING_UP = 10  # asks
PAIRS = 300  # of asks
ITEMS = 1_000


def measure(asks: int, url: str) -> dict[str, float]:
    """Seconds: of the first asks, of the last ones, of the longest one, of a copy of the conversation.

    ``ratio``: how many times a fresh conversation's time an ask in the grown one takes, asked in turns.
    """
    client = OpenAIClient("any-key", endpoint=url).get_realtime_conversation_client("ask-0")
    with client.start_conversation_session() as grown:
        for _ in range(WARMING_UP):
            timed(grown)
        before = resources()
        times = [timed(grown) for _ in range(asks)]
        after = resources()
        with client.start_conversation_session() as fresh:
            for _ in range(WARMING_UP):
                timed(fresh)
            pairs = [(timed(grown), timed(fresh)) for _ in range(PAIRS)]
            for _ in range(ITEMS // 2 - PAIRS - WARMING_UP - SOME // 2):  # each ask brings a question and an answer
                timed(fresh)
            copying = min(timed_copy(fresh) for _ in range(SOME))
    in_grown, in_fresh = (statistics.median(each) for each in zip(*pairs, strict=True))
    return {
        "first": statistics.median(times[:SOME]),
        "last": statistics.median(times[-SOME:]),
        "longest": max(times),
        "ratio": in_grown / in_fresh,
        "copying": copying,
        "asks": asks,
        **({"memory": (after["memory"] - before["memory"]) / asks} if after else {}),
    }


def timed_copy(session: RealtimeConversationSession) -> float:
    """Seconds of a copy after something new has come. The reader waits for at most so long."""
    timed(session)
    begin = time.perf_counter()
    conversation = session.conversation
    seconds = time.perf_counter() - begin
    assert not conversation.forgotten
    return seconds


def timed(session: RealtimeConversationSession) -> float:
    begin = time.perf_counter()
    answer = session.ask("What is the tallest tree?")
    seconds = time.perf_counter() - begin
    assert answer.text.endswith("Hyperion.")
    return seconds


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[3]), sys.argv[4])))
