"""Session descriptions (SDP): an answer to a WebRTC offer that a parser accepts. No media stands behind it."""

from __future__ import annotations

import random
import re

from realtime_sync.server.wire import Refused, new_id

_OPUS = "111"
_CANDIDATE = "a=candidate:1 1 udp 2130706431 127.0.0.1 9 typ host"


def answer_to(offer: str) -> str:
    """The answer: one section for each of the offer's, in its order. Raises ``Refused`` if it is no offer."""
    sections = re.split(r"^(?=m=)", offer, flags=re.MULTILINE)[1:]
    media = [section.splitlines()[0].split() for section in sections]
    # m=<kind> <port> <protocol> <format> ... (RFC 8866, 5.14)
    complete = all(len(words) >= 4 for words in media) and any(words[0] == "m=audio" for words in media)
    if not complete or not re.match(r"v=0\s*$", offer, re.MULTILINE):
        message = "Invalid 'sdp': expected a WebRTC offer with an audio section (v=0, ..., m=audio)."
        raise Refused("invalid_offer", message, "sdp")
    mids = [_first(r"^a=mid:(\S+)", section, str(index)) for index, section in enumerate(sections)]
    answer = [
        "v=0",
        f"o=- {random.randrange(10**9, 10**10)} 2 IN IP4 127.0.0.1",
        "s=-",
        "t=0 0",
        f"a=group:BUNDLE {' '.join(mids)}",
        "a=msid-semantic:WMS *",
        f"a=fingerprint:sha-256 {':'.join(f'{random.randrange(256):02X}' for _ in range(32))}",
    ]
    ufrag, password = new_id("u", 8)[2:], new_id("p", 24)[2:]
    for mid, section in zip(mids, sections, strict=True):
        answer += _answered(section, mid)
        answer += [f"a=ice-ufrag:{ufrag}", f"a=ice-pwd:{password}", "a=setup:active", _CANDIDATE, "a=end-of-candidates"]
    return "\r\n".join(answer) + "\r\n"


def _first(pattern: str, section: str, default: str) -> str:
    found = re.search(pattern, section, re.MULTILINE | re.IGNORECASE)
    return found[1] if found else default


def _answered(section: str, mid: str) -> list[str]:
    kind, _, protocol, *formats = section.splitlines()[0][2:].split()
    head = ["c=IN IP4 127.0.0.1", f"a=mid:{mid}"]
    if kind == "audio":
        # Opus under the number that the offer gave it, else under its usual one.
        opus = _first(r"^a=rtpmap:(\S+) opus", section, _OPUS)
        return [f"m=audio 9 {protocol} {opus}", *head, "a=sendrecv", "a=rtcp-mux", f"a=rtpmap:{opus} opus/48000/2"]
    if kind == "application":
        return [f"m=application 9 {protocol} {' '.join(formats)}", *head, "a=sctp-port:5000"]
    return [f"m={kind} 0 {protocol} {' '.join(formats)}", *head, "a=inactive"]  # port 0: declined
