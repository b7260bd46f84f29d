"""Session descriptions (SDP): an answer to a WebRTC offer that a parser accepts. No media stands behind it."""

from __future__ import annotations

import itertools
import random

from realtime_sync.server.wire import Refused, new_id

_OPUS = "111"
_CANDIDATE = "a=candidate:1 1 udp 2130706431 127.0.0.1 9 typ host"


def answer_to(offer: str) -> str:
    """The answer: one section for each of the offer's, in its order. Raises ``Refused`` if it is no offer."""
    lines = offer.splitlines()
    media = [line.split() for line in lines if line.startswith("m=")]
    # m=<kind> <port> <protocol> <format> ... (RFC 8866, 5.14)
    complete = all(len(words) >= 4 for words in media) and any(words[0] == "m=audio" for words in media)
    if not complete or lines[0].strip() != "v=0":
        message = "Invalid 'sdp': expected a WebRTC offer with an audio section (v=0, ..., m=audio)."
        raise Refused("invalid_offer", message, "sdp")
    sections = _sections(lines)
    mids = [_attribute(section, "mid", str(index)) for index, section in enumerate(sections)]
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


def _sections(lines: list[str]) -> list[list[str]]:
    starts = [index for index, line in enumerate(lines) if line.startswith("m=")]
    return [lines[start:end] for start, end in itertools.pairwise([*starts, len(lines)])]


def _attribute(section: list[str], name: str, default: str) -> str:
    prefix = f"a={name}:"
    return next((line[len(prefix) :].strip() for line in section if line.startswith(prefix)), default)


def _answered(section: list[str], mid: str) -> list[str]:
    kind, _, protocol, *formats = section[0][2:].split()
    head = ["c=IN IP4 127.0.0.1", f"a=mid:{mid}"]
    if kind == "audio":
        # Opus under the number that the offer gave it, else under its usual one.
        maps = (line for line in section if line.lower().startswith("a=rtpmap:"))
        opus = next((_number(line) for line in maps if "opus" in line.lower()), _OPUS)
        return [f"m=audio 9 {protocol} {opus}", *head, "a=sendrecv", "a=rtcp-mux", f"a=rtpmap:{opus} opus/48000/2"]
    if kind == "application":
        return [f"m=application 9 {protocol} {' '.join(formats)}", *head, "a=sctp-port:5000"]
    return [f"m={kind} 0 {protocol} {' '.join(formats)}", *head, "a=inactive"]  # port 0: declined


def _number(line: str) -> str:
    return line[len("a=rtpmap:") :].split()[0]
