//! A vocabulary of word pieces, and cutting words into them.
//!
//! The crate `tokenizers` has this model too. It keeps each piece in two hash maps, as two strings of their own: for 30,000
//! pieces 12 ms and 7 MB, much of the time to a program's first vector. Here all pieces lie in one string.

use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, MapAccess, Visitor};

/// A model of word pieces.
pub(super) struct WordPieces {
    vocabulary: Vocabulary,
    unknown: u32,
    continuing_prefix: String,
    /// Longer words, in characters, are unknown.
    longest_word: usize,
}

/// What stands in a `tokenizer.json`.
#[derive(serde::Deserialize)]
struct Fields {
    r#type: String,
    unk_token: String,
    continuing_subword_prefix: String,
    max_input_chars_per_word: usize,
    vocab: Vocabulary,
}

impl WordPieces {
    /// Reads the part "model" of a `tokenizer.json`; None where that is no model of word pieces, or a damaged one.
    pub fn from_json(json: &str) -> Option<Result<Self, String>> {
        let fields: Fields =
            serde_json::from_str(json).ok().filter(|fields: &Fields| fields.r#type == "WordPiece")?;
        let Some(unknown) = fields.vocab.id("", &fields.unk_token) else {
            return Some(Err(format!("unk_token: {} is not in the vocabulary", fields.unk_token)));
        };
        Some(Ok(Self {
            vocabulary: fields.vocab,
            unknown,
            continuing_prefix: fields.continuing_subword_prefix,
            longest_word: fields.max_input_chars_per_word,
        }))
    }

    /// The pieces and their ids.
    pub fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    /// Appends the ids of a word's pieces: the longest piece that the word starts with, then the longest that the rest
    /// starts with, and so on. A word that cannot be cut up completely is unknown as a whole.
    pub fn cut(&self, word: &str, ids: &mut Vec<u32>) {
        let before = ids.len();
        let mut rest = if word.chars().count() > self.longest_word { None } else { Some(word) };
        while let Some(left) = rest.filter(|left| !left.is_empty()) {
            let prefix = if left.len() == word.len() { "" } else { &self.continuing_prefix };
            rest = self.vocabulary.longest(prefix, left).map(|(length, id)| {
                ids.push(id);
                &left[length..]
            });
        }
        if rest.is_none() {
            ids.truncate(before);
            ids.push(self.unknown);
        }
    }
}

/// Pieces and their ids, found by hashing.
#[derive(Default)]
pub(super) struct Vocabulary {
    /// All pieces, one after another.
    text: String,
    pieces: Vec<Piece>,
    /// Numbers in `pieces` with 1 added; 0 is an empty place. Their count is a power of two, at least twice that of pieces.
    places: Vec<u32>,
    /// The longest piece in bytes.
    longest: usize,
}

#[derive(Clone, Copy)]
struct Piece {
    start: u32,
    end: u32,
    id: u32,
}

impl Vocabulary {
    /// How many pieces there are.
    pub fn len(&self) -> usize {
        self.places.iter().filter(|&&place| place != 0).count()
    }

    pub fn largest_id(&self) -> Option<u32> {
        self.pieces.iter().map(|piece| piece.id).max()
    }

    /// The id of `prefix` and `rest` together, where that is a piece.
    pub fn id(&self, prefix: &str, rest: &str) -> Option<u32> {
        let hash = hashed(hashed(SEED, prefix.as_bytes()), rest.as_bytes());
        self.find(hash, prefix, rest).ok().map(|number| self.pieces[number].id)
    }

    /// The longest start of `word` that is a piece when `prefix` is put before it: its length in bytes, and its id.
    fn longest(&self, prefix: &str, word: &str) -> Option<(usize, u32)> {
        let most = self.longest.saturating_sub(prefix.len());
        // A hash of a start goes on to be the hash of a longer one, so all of them cost one walk.
        let mut hash = hashed(SEED, prefix.as_bytes());
        let mut starts = Vec::with_capacity(word.len().min(most));
        for (at, character) in word.char_indices() {
            let end = at + character.len_utf8();
            if end > most {
                break;
            }
            hash = hashed(hash, &word.as_bytes()[at..end]);
            starts.push((end, hash));
        }
        starts.into_iter().rev().find_map(|(end, hash)| {
            let number = self.find(hash, prefix, &word[..end]).ok()?;
            Some((end, self.pieces[number].id))
        })
    }

    /// The number of a piece, or else the empty place where it would stand.
    fn find(&self, hash: u64, prefix: &str, rest: &str) -> Result<usize, usize> {
        let mask = self.places.len().wrapping_sub(1);
        // The lower bits of a product depend on the lower bits of its factors alone: the upper half is the better mixed.
        let mut place = (hash >> 32) as usize & mask;
        while let Some(number) = self.places.get(place).and_then(|number| number.checked_sub(1)) {
            let piece = self.pieces[number as usize];
            let text = &self.text[piece.start as usize..piece.end as usize];
            if text.strip_prefix(prefix) == Some(rest) {
                return Ok(number as usize);
            }
            place = (place + 1) & mask;
        }
        Err(place)
    }

    /// Gives every piece a place. Of pieces that stand twice, the last one counts.
    fn place_all(&mut self) {
        self.places = vec![0; (2 * self.pieces.len() + 1).next_power_of_two()];
        for number in 0..self.pieces.len() {
            let piece = self.pieces[number];
            let text = &self.text[piece.start as usize..piece.end as usize];
            match self.find(hashed(SEED, text.as_bytes()), "", text) {
                Ok(earlier) => self.pieces[earlier].id = piece.id,
                Err(place) => self.places[place] = number as u32 + 1,
            }
        }
    }
}

const SEED: u64 = 0xcbf2_9ce4_8422_2325;

/// FNV-1a: the pieces are short, and their hash must be able to go on where it stopped.
fn hashed(hash: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(hash, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

impl<'de> Deserialize<'de> for Vocabulary {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(PieceByPiece)
    }
}

struct PieceByPiece;

impl<'de> Visitor<'de> for PieceByPiece {
    type Value = Vocabulary;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("pieces and their ids")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Vocabulary, M::Error> {
        let mut vocabulary = Vocabulary::default();
        let mut start = 0;
        while map.next_key_seed(Append(&mut vocabulary.text))?.is_some() {
            let id = map.next_value()?;
            let end = u32::try_from(vocabulary.text.len()).map_err(serde::de::Error::custom)?;
            vocabulary.pieces.push(Piece { start, end, id });
            vocabulary.longest = vocabulary.longest.max((end - start) as usize);
            start = end;
        }
        vocabulary.text.shrink_to_fit();
        vocabulary.pieces.shrink_to_fit();
        vocabulary.place_all();
        Ok(vocabulary)
    }
}

/// Appends a key to a string, so that it needs no string of its own.
struct Append<'a>(&'a mut String);

impl<'de> DeserializeSeed<'de> for Append<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Append<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a piece")
    }

    fn visit_str<E>(self, piece: &str) -> Result<(), E> {
        self.0.push_str(piece);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(vocabulary: &str) -> WordPieces {
        let fields = r#""unk_token": "?", "continuing_subword_prefix": "__", "max_input_chars_per_word": 8"#;
        let json = format!("{{\"type\": \"WordPiece\", {fields}, \"vocab\": {{{vocabulary}}}}}");
        WordPieces::from_json(&json).unwrap().unwrap()
    }

    fn cut(pieces: &WordPieces, word: &str) -> Vec<u32> {
        let mut ids = vec![77];
        pieces.cut(word, &mut ids);
        ids.split_off(1)
    }

    #[test]
    fn the_longest_piece_wins() {
        let pieces = pieces(r#""?": 0, "a": 1, "ab": 2, "abc": 3, "__a": 4, "__bc": 5, "__ü": 6, "__": 7"#);
        assert_eq!(cut(&pieces, "abc"), [3]);
        assert_eq!(cut(&pieces, "aba"), [2, 4]);
        assert_eq!(cut(&pieces, "abca"), [3, 4]);
        assert_eq!(cut(&pieces, "abüa"), [2, 6, 4]);
        assert_eq!(cut(&pieces, "?"), [0]);
        assert_eq!(cut(&pieces, "__"), [7]);
    }

    #[test]
    fn what_cannot_be_cut_up_is_one_unknown_word() {
        let pieces = pieces(r#""?": 9, "a": 1, "__a": 4"#);
        assert_eq!(cut(&pieces, "aab"), [9]);
        assert_eq!(cut(&pieces, "ü"), [9]);
        assert_eq!(cut(&pieces, "aaaaaaaa"), [1, 4, 4, 4, 4, 4, 4, 4]);
        assert_eq!(cut(&pieces, "aaaaaaaaa"), [9]);
        assert!(cut(&pieces, "").is_empty());
    }

    #[test]
    fn a_piece_is_found_by_its_escaped_spelling_and_the_last_of_two_counts() {
        let pieces = pieces(r#""?": 0, "\"": 3, "\u00e9": 4, "\ud83d\ude00": 5, "x": 6, "x": 7"#);
        assert_eq!(
            [cut(&pieces, "\""), cut(&pieces, "é"), cut(&pieces, "😀"), cut(&pieces, "x")].concat(),
            [3, 4, 5, 7]
        );
        assert_eq!((pieces.vocabulary().len(), pieces.vocabulary().largest_id()), (5, Some(7)));
    }

    #[test]
    fn every_piece_of_a_large_vocabulary_is_found() {
        let all: Vec<String> = (0..5000).map(|n| format!("\"p{n}\": {n}")).collect();
        let pieces = pieces(&format!("\"?\": 5000, {}", all.join(", ")));
        assert!((0..5000).all(|n| pieces.vocabulary().id("p", &n.to_string()) == Some(n)));
        assert_eq!(pieces.vocabulary().id("", "p5000"), None);
        assert_eq!(pieces.vocabulary().id("", ""), None);
    }

    #[test]
    fn other_and_damaged_models_are_left_to_others() {
        assert!(
            WordPieces::from_json(r#"{"type": "WordLevel", "vocab": {"a": 1}, "unk_token": "a"}"#).is_none()
        );
        assert!(WordPieces::from_json("{}").is_none());
    }
}
