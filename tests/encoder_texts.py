"""Texts that an encoder must take: ordinary, empty, odd, long, in several scripts."""

TEXTS = [
    "Where did we leave the spare key?",
    "no",
    "",
    " \t\n",
    "I adopted a puppy last Tuesday; she is called Miso and sleeps on my shoes.",
    "我们下周去北京出差。",
    "👍🎉👩‍👩‍👧 thanks!!",
    "control \x00 \x07 \x1b characters \u200b \ufeff inside",
    "Ünïcödé naïve café e\u0301 ﬁ ½",
    "[CLS] [SEP] [MASK] literally",
    "x" * 300,
    "It is not that I dislike him, I never said I would come along. " * 10,
    "مرحبا بالعالم",
]
LONG = "A long story about keys and doors. " * 100
