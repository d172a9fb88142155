import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hmem_fast.core import TextIndex, analyze
from hmem_fast.errors import DTypeError, InvalidValueError

LANGUAGES = [
    "arabic", "danish", "dutch", "english", "finnish", "french", "german", "greek", "hungarian", "italian", "norwegian",
    "portuguese", "romanian", "russian", "spanish", "swedish", "tamil", "turkish",
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("Running runners ran easily", ["run", "runner", "ran", "easili"]),
        ("What did you say to Caroline's friends?", ["say", "carolin", "friend"]),
        ("I don't, you can't, we'll, they're, it's", []),
        ("I don’t, you can’t, we’ll, they’re, it’s", []),
        ("rock'n'roll O'Neill’s", ["rock'n'rol", "o'neil"]),
        ("On 7 May 2023 at 10:30, 3.14", ["7", "may", "2023", "10", "30", "3.14"]),
        ("naïve café CAFÉ", ["naïv", "café", "café"]),
        ("\U0001f600 hello \U0001f468‍\U0001f469‍\U0001f467 \U0001f1e9\U0001f1ea", ["hello"]),
        ("我爱北京", ["我", "爱", "北", "京"]),
        ("a\x00b\x07c\x1b[0m", ["b", "c", "0m"]),
        ("", []),
        (" \n\t.,;:!?", []),
    ],
)
def test_english(text, terms):
    assert analyze(text) == terms


def test_english_stop_words_can_be_replaced_or_switched_off():
    assert analyze("the cat sat") == ["cat", "sat"]
    assert analyze("the cat sat", stop_words=()) == ["the", "cat", "sat"]
    assert analyze("the cat's mat", stop_words=["Cat"]) == ["the", "mat"]
    assert analyze("I don’t know", stop_words=iter(["DON'T", "i"])) == ["know"]


def test_german():
    assert analyze("Die Häuser der Straßen", "german") == ["die", "haus", "der", "strass"]
    assert analyze("Katzen KATZE", "german", ["katze"]) == ["katz"]


def test_other_languages_have_no_stop_words_of_their_own():
    for language in LANGUAGES:
        kept = analyze("the", language)
        assert kept == ([] if language == "english" else kept[:1])
        assert language == "english" or kept


def test_the_way_a_character_is_written_makes_no_difference():
    composed = "café naïve 12 fine"
    assert analyze(unicodedata.normalize("NFD", composed), stop_words=()) == analyze(composed, stop_words=())
    assert analyze("ｃａｆé naïve １２ ﬁne", stop_words=()) == analyze(composed, stop_words=())
    assert analyze(unicodedata.normalize("NFD", composed), "char4") == analyze(composed, "char4")


@pytest.mark.parametrize(
    ("text", "grams"),
    [
        ("A cat", [" a c", "a ca", " cat", "cat "]),
        ("don’t", [" don", "don ", "on t", "n t "]),
        ("我爱你", [" 我爱你", "我爱你 "]),
        ("hi", [" hi "]),
        ("x", [" x "]),
        ("...", []),
        ("", []),
        ("a\x00bc", [" a b", "a bc", " bc "]),
        ("\U0001f600\U0001f601\U0001f602", [" \U0001f600\U0001f601\U0001f602", "\U0001f600\U0001f601\U0001f602 "]),
    ],
)
def test_character_grams(text, grams):
    assert analyze(text, "char4") == grams


@given(st.text(max_size=60))
def test_every_analyzer_takes_any_text(text):
    for name in [*LANGUAGES, "char4"]:
        assert all(analyze(text, name, ()))
    assert all(len(gram) <= 4 for gram in analyze(text, "char4"))


def test_a_word_of_a_megabyte():
    word = "x" * (1 << 20)
    assert analyze(word) == [word]
    assert len(analyze(word, "char4")) == len(word) - 1
    index = TextIndex()
    index.add([word])
    assert index.search([word], k=1).ids.tolist() == [[0]]


def test_an_unknown_analyzer_is_refused_with_the_names_there_are():
    with pytest.raises(InvalidValueError, match="analyzer") as caught:
        analyze("x", "klingon")
    assert all(f'"{name}"' in str(caught.value) for name in [*LANGUAGES, "char4"])
    with pytest.raises(InvalidValueError, match="analyzer"):
        TextIndex("English")
    with pytest.raises(InvalidValueError, match="stop_words"):
        analyze("x", "char4", ["the"])


def test_what_is_no_text_is_refused():
    with pytest.raises(DTypeError, match="text: wanted a string, got bytes"):
        analyze(b"x")
    with pytest.raises(DTypeError, match="analyzer"):
        analyze("x", 4)
    with pytest.raises(DTypeError, match="stop_words"):
        analyze("x", stop_words="the")
    with pytest.raises(DTypeError, match=r"stop_words\[1\]"):
        analyze("x", stop_words=["the", 3])
    with pytest.raises(InvalidValueError, match="text: a lone surrogate at position 2"):
        analyze("ab\ud800")
