"""BM25 beside other libraries: turns of dialogues, asked by real questions."""
