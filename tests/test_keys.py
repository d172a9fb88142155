"""How a turn is cut into keys, and how names in a question become the first person."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hmem_fast.errors import InvalidValueError
from hmem_fast.memory.keys import KeyRecipe, is_question, split_sentences
from hmem_fast.memory.name import Participants


def pieces(text, *, before=None, cues=(), in_session=True, speaker="Ann", **recipe):
    return KeyRecipe(**recipe).pieces(text, speaker, cues, in_session=in_session, before=before)[0]


class TestSentences:
    @pytest.mark.parametrize(
        ("text", "sentences"),
        [
            ("One. Two! Three?", ["One.", "Two!", "Three?"]),
            ("It costs 3.14 a.m. or so", ["It costs 3.14 a.m.", "or so"]),
            ('She said "No!" Then left.', ['She said "No!"', "Then left."]),
            ("Wait... what?! (Really.) Yes", ["Wait...", "what?!", "(Really.)", "Yes"]),
            ("a line\nanother\r\n\r\nlast", ["a line", "another", "last"]),
            ("你好。你去吗？去！", ["你好。", "你去吗？", "去！"]),
            ("", []),
            (" \n\t ", []),
        ],
    )
    def test_where_they_end(self, text, sentences):
        assert split_sentences(text) == sentences

    @given(st.text())
    def test_no_word_is_lost(self, text):
        assert "".join("".join(split_sentences(text)).split()) == "".join(text.split())

    @pytest.mark.parametrize(
        ("text", "n_sentences"),
        [("!" * 300_000 + "x", 1), ("!)" * 150_000 + "x", 1), ("?" * 300_000, 1), ("a. " * 100_000, 100_000)],
    )
    def test_a_megabyte_of_marks_is_cut_like_any_text(self, text, n_sentences):
        # A pattern that backtracks would not come back from these before the suite's time limit.
        assert len(split_sentences(text)) == n_sentences

    def test_questions_are_told_by_their_mark(self):
        assert is_question('Did he say "why?"')
        assert is_question("你去吗？")
        assert not is_question("Why? Because.")


class TestPieces:
    def test_the_questions_before_and_the_own_statements(self):
        assert pieces("In May. It rained. You?", before="Hi! When? Where was it?") == [
            ("context", "When? Where was it? In May. It rained."),
            ("question", "When?"),
            ("question", "Where was it?"),
            ("sentence", "In May."),
            ("sentence", "It rained."),
        ]

    def test_one_sentence_without_context_is_one_key(self):
        assert pieces("In May.") == [("context", "In May.")]

    def test_a_turn_that_only_asks_keeps_its_questions(self):
        assert pieces("When? Where?") == [
            ("context", "When? Where?"),
            ("sentence", "When?"),
            ("sentence", "Where?"),
        ]

    def test_outside_a_session_nobody_takes_the_questions_over(self):
        assert ("sentence", "You?") in pieces("In May. You?", in_session=False)
        assert ("sentence", "You?") not in pieces("In May. You?", in_session=True)

    def test_a_question_in_the_middle_stays(self):
        assert ("sentence", "Why?") in pieces("I left. Why? It rained.")

    def test_cues_come_first_and_need_no_text(self):
        assert pieces("Acme", cues=["Where does Ann work?"]) == [("cue", "Where does Ann work?"), ("context", "Acme")]
        assert pieces(" ", cues=["a cue"], before="Why?") == [("cue", "a cue")]

    def test_plain_recipe(self):
        assert pieces("In May.", keys=("turn",)) == [("turn", "Ann: In May.")]
        assert pieces("In May.", keys=("turn",), speaker=None) == [("turn", "In May.")]

    def test_many_questions_before_leave_room_for_the_own_sentences(self):
        asked = " ".join(f"Is it number {i}?" for i in range(40))
        kept = pieces("It is three. Or four.", before=asked)
        assert [text for kind, text in kept if kind == "question"] == [f"Is it number {i}?" for i in range(36, 40)]
        assert ("sentence", "It is three.") in kept

    def test_at_most_32_and_the_rest_is_counted(self):
        text = " ".join(f"Sentence number {i}." for i in range(50))
        kept, unkeyed = KeyRecipe().pieces(text, None, ["a cue"], in_session=False, before=None)
        assert len(kept) == 32
        assert unkeyed == 52 - 32
        assert kept[0] == ("cue", "a cue")

    @given(st.text(), st.text(), st.lists(st.text(min_size=1), max_size=5), st.booleans())
    def test_no_text_twice(self, text, before, cues, in_session):
        texts = [piece for _, piece in pieces(text, before=before, cues=cues, in_session=in_session)]
        assert len(set(texts)) == len(texts)

    def test_recipes_are_recorded_and_read_back(self):
        recipe = KeyRecipe(keys=("turn",), window_turns=1, analyzer="german")
        assert KeyRecipe.from_json(recipe.to_json()) == recipe

    @pytest.mark.parametrize("wrong", [{"keys": ("word",)}, {"window_turns": 0}, {"analyzer": "klingon"}])
    def test_wrong_recipes_are_refused(self, wrong):
        with pytest.raises(InvalidValueError, match=next(iter(wrong))):
            KeyRecipe(**wrong)


class TestNames:
    @pytest.mark.parametrize(
        ("question", "participants", "rewritten", "named"),
        [
            ("What does Ann do?", ["Ann", "Bob"], "What does I do?", ("Ann",)),
            ("What is Ann's job?", ["Ann"], "What is my job?", ("Ann",)),
            ("What is James' job?", ["James"], "What is my job?", ("James",)),
            ("Did Bob visit Ann’s sister?", ["Ann", "Bob"], "Did I visit my sister?", ("Bob", "Ann")),
            ("Is Annabel here?", ["Ann"], "Is Annabel here?", ()),
            ("Will it rain on Will?", ["will"], "Will it rain on Will?", ()),
            (
                "What did Ann Lee say to Ann Roe?",
                ["Ann Lee", "Ann Roe"],
                "What did I say to I?",
                ("Ann Lee", "Ann Roe"),
            ),
            ("What did Ann say?", ["Ann Lee", "Ann Roe"], "What did Ann say?", ()),
            ("What did Ann say?", ["Ann Lee", "Bob Roe"], "What did I say?", ("Ann Lee",)),
            ("What did A.b say?", ["A.b"], "What did I say?", ("A.b",)),
            ("What did Axb say?", ["A.b"], "What did Axb say?", ()),
            ("What did Ann  Lee's dog do?", ["Ann Lee"], "What did my dog do?", ("Ann Lee",)),
            ("Which user interface is new?", ["user"], "Which user interface is new?", ()),
            ("What is the user's name?", ["user", "assistant"], "What is my name?", ("user",)),
            ("Did the assistant ask The user?", ["user", "assistant"], "Did I ask I?", ("assistant", "user")),
            ("Who?", [], "Who?", ()),
            ("Who?", ["", "  "], "Who?", ()),
            ("张三喜欢什么", ["张三"], "张三喜欢什么", ()),
        ],
    )
    def test_examples(self, question, participants, rewritten, named):
        people = Participants(participants)
        assert people.in_first_person(question) == rewritten
        assert people.named_in(question) == named

    @given(st.text(), st.lists(st.text(), max_size=4))
    def test_any_text_and_any_names(self, question, participants):
        people = Participants(participants)
        named = people.named_in(question)
        assert set(named) <= set(participants)
        assert named or people.in_first_person(question) == question
