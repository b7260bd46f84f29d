"""What a user says that the user's name is, by rules.

A name is told by "my name is ...", "call me ..." and "I am ...":

- It is written with a capital, and is no word of ``_NO_NAMES``: "I'm Here" and "I am Tired" tell none. Only after "my
  name is", at the end of the clause, it may be written small, as people do in a chat.
- The clause ends with it, or goes on with "and", "from", "please" and the like: "I am Ada's brother" and "call me
  Monday morning" tell none. Of several names (Ada Lovelace) it is the first.
- Nobody denies it, asks for it, or speaks of another: "Don't call me Ada", "Did you call me Ada?" and "She said: I am
  Ada" tell none.
"""

from __future__ import annotations

import re
from typing import Optional

# What stands after "I am" or "call me" with a capital, be it by a recogniser or by who writes all words so, and names
# nobody. No list is whole: what is missing costs a wrong "Nice to meet you".
_WORDS = """
a about absolutely african again against ahead alive all almost alone already alright also always american an and
angry annoyed another anxious any anytime arab around as asap asian asking asleep at atheist australian austrian
available awake aware away back bad because before behind belgian better big bored both brazilian british broke
buddhist busy but by calling canadian catholic certain checking chinese cold coming confused convinced crazy curious
dad danish dead deaf december different difficult disappointed doctor doing done down driving drunk dutch dying
early eating egyptian eighteen either eleven elsewhere english enough european even ever everybody everyone excited
exhausted familiar famous father february feeling fine finished finnish first for free french friday frightened from
full german getting glad going gone good grateful great greek guilty happy hard having he hearing her here him hindu
his home honest hoping how hungarian hungry hurt i if ill immediately important impressed in indian indonesian
injured inside interested iranian irish irrelevant is israeli it italian its january japanese jealous jewish just
kidding kind known korean last late later lazy learning leaving less like listening living lonely long looking lost
lots lucky mad many maybe me mexican mine mom monday more most mother much mud mum muslim my near nearly never new
next nice no nobody none nope norwegian not nothing november now occasionally of off often ok okay old on once one
only open or other our out outside over overwhelmed pakistani perhaps please pleased polish poor portuguese possibly
pretty private probably protestant proud quite rather reading ready real really relieved retired right romanian
running russian sad safe satisfied saturday saying scared scottish second secret serious she shocked short shy sick
single sitting sleeping sleepy so some somebody someone sometimes somewhere soon sorry spanish speaking spelled
spelt standing starving still stressed strong stuck stupid such sunday sure surprised swedish swiss talking tall ten
terrible that the their them then there these they thinking thirsty this those though three thursday tired to today
together tomorrow tonight too trying tuesday turkish twelve twenty two typing ukrainian unable uncertain under
unhappy unimportant unknown unsure unusual up upset us using very vietnamese waiting walking warm watching we weak
wednesday well welsh what when where which who whoever why willing wondering working worried writing wrong yes
yesterday yet you young your yours
"""
_NO_NAMES = frozenset(_WORDS.split())
_CAPITAL = r"(?:(?:Dr|Mr|Mrs|Ms|Prof)\.?\s+)?(?P<name>[A-ZÀ-ſ][\w’'-]*)(?:\s+[A-ZÀ-ſ][\w’'-]*){0,3}"
_SMALL = r"(?P<small>[a-z][\w’'-]*)(?:\s+[a-z][\w’'-]*)?(?=\s*(?:$|[,.;!?\n])|\s+and\b)"
_END = (
    r"(?=\s*(?:$|[,.;:!?…)\n])|\s+(?:[-–—]|(?:and|but|by the way|for short|from|here|if you (?:like|want)|in|instead|"
    r"nice to|please|so|speaking|thanks|thank you|what|who|how|when|where|can|could|though|too|with|your)\b))"
)
_TELLINGS = (
    re.compile(rf"\b(?i:my name(?: is|['’]s))\s+(?:{_CAPITAL}|{_SMALL})"),
    re.compile(rf"\b(?i:call me|I am|I['’]m)\s+{_CAPITAL}{_END}"),
)
_DENIED = re.compile(
    r"(?:\b(?:not|never|used to|if|whether|when|say|says|said|thinks?|(?:do|does|did) (?:you|he|she|they|people))|"
    r"n['’]t)\W*$",
    re.IGNORECASE,
)


def told_name(text: str) -> Optional[str]:
    """The name that a text tells, the last if there are several; None if it tells none."""
    found = [match for telling in _TELLINGS for match in telling.finditer(text) if _is_told(match, text)]
    last = max(found, key=lambda match: match.start(), default=None)
    return None if last is None else _name(last)


def _is_told(match: re.Match[str], text: str) -> bool:
    name = _name(match)
    is_word = name.casefold() in _NO_NAMES or name.endswith(("'s", "’s"))
    is_small = match.lastgroup == "name" and not match["name"][0].isupper()  # é is in the range of the capitals
    return not is_word and not is_small and not _DENIED.search(text[: match.start()])


def _name(match: re.Match[str]) -> str:
    """The name with a capital."""
    name = match[match.lastgroup or "name"]
    return name[0].upper() + name[1:]
