"""An agent that remembers: store each turn of a chat, recall what matters before the next answer.

Run it twice: the second run still knows what the first was told.
"""

from __future__ import annotations

from datetime import UTC, datetime

from hmem_fast import Memory

TURNS = [
    ("user", "I'm allergic to peanuts, by the way. Can you plan my dinners?"),
    ("assistant", "Noted. Which evenings are you at home?"),
    ("user", "Monday to Wednesday. On Thursdays I train with the rowing club."),
]

with Memory.open("agent.hmem") as memory:
    session = datetime.now(UTC).isoformat(timespec="seconds")
    for speaker, text in TURNS:
        memory.store(text, speaker=speaker, session=session, time=datetime.now(UTC))
    print(f"{len(memory)} turns remembered")
    for question in ("Which food makes the user ill?", "When is the user out in the evening?"):
        (hit,) = memory.recall(question, k=1)
        print(f"{question}\n    {hit.time:%Y-%m-%d} {hit.speaker}: {hit.text}")
