//! Text to token ids, by a model's `tokenizer.json`.
//!
//! Normalising, cutting into words and all models but word pieces are those of the crate `tokenizers`. It is taken in parts,
//! for three reasons: reading the file as a whole builds the vocabulary three times over, and costs half of the time to a
//! program's first vector; what is cut off can be told from what fits; and nothing here can start a thread or read the
//! environment, as its batches and padding do.

use std::any::Any;
use std::ops::Range;
use std::panic::catch_unwind;

use ahash::AHashMap;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::{
    AddedToken, AddedVocabulary, Encoding, Model, ModelWrapper, NormalizerWrapper, OffsetReferential,
    OffsetType, PostProcessor, PostProcessorWrapper, PreTokenizer, PreTokenizerWrapper, Token,
};

use super::word_pieces::{Vocabulary, WordPieces};
use crate::error::TokenizerError;

/// Only so many characters of a text are tokenized: a model reads a few hundred tokens, and 10 MB would cost seconds.
pub const MAX_CHARACTERS: usize = 10_000;

/// One text's tokens, as a model wants them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tokenized {
    /// The ids, special tokens among them.
    pub ids: Vec<u32>,
    /// Which of `ids` come from the text; the others are special tokens that were put before and after it.
    pub words: Range<usize>,
    /// Whether some of the text was cut off.
    pub truncated: bool,
}

/// A model's tokenizer with our own settings: no padding, and the limit that the model has, not its file.
pub struct Tokenizer {
    added: AddedVocabulary,
    normalizer: Option<NormalizerWrapper>,
    pre_tokenizer: Option<PreTokenizerWrapper>,
    model: Pieces,
    /// Special tokens put before each text.
    front: Vec<u32>,
    /// Special tokens put after each text.
    back: Vec<u32>,
    /// Most tokens of a text, special ones not counted.
    room: usize,
    prefix: String,
    vocabulary_size: usize,
}

impl Tokenizer {
    /// Reads a `tokenizer.json`. Its own settings for truncation and padding are put aside.
    ///
    /// A text gets at most `max_length` tokens, special ones counted; `prefix` is put before each.
    pub fn from_json(json: &[u8], max_length: usize, prefix: &str) -> Result<Self, TokenizerError> {
        // The crate panics at some damaged files, for example where a special token has no id.
        let parts = catch_unwind(|| read(json))
            .unwrap_or_else(|panic| Err(message(&*panic)))
            .map_err(|reason| TokenizerError::Unreadable { reason })?;
        let Parts { added, normalizer, pre_tokenizer, model, front, back, vocabulary_size } = parts;
        let special = front.len() + back.len();
        match max_length.checked_sub(special) {
            None | Some(0) => {
                Err(TokenizerError::MaxLength { wanted: special + 1, special, got: max_length })
            }
            Some(room) => Ok(Self {
                added,
                normalizer,
                pre_tokenizer,
                model,
                front,
                back,
                room,
                prefix: prefix.to_owned(),
                vocabulary_size,
            }),
        }
    }

    /// Tokenizes one text, in the caller's thread.
    ///
    /// Of a text longer than [`MAX_CHARACTERS`] no more than those are looked at. Fails only where the file's vocabulary
    /// does not cover all text: one of word pieces always does.
    pub fn tokenize(&self, text: &str) -> Result<Tokenized, TokenizerError> {
        let read = first(text, MAX_CHARACTERS);
        let words = self.words(&[&self.prefix, read].concat())?;
        let kept = words.len().min(self.room);
        let mut ids = Vec::with_capacity(self.front.len() + kept + self.back.len());
        ids.extend_from_slice(&self.front);
        ids.extend_from_slice(&words[..kept]);
        ids.extend_from_slice(&self.back);
        Ok(Tokenized {
            ids,
            words: self.front.len()..self.front.len() + kept,
            truncated: read.len() < text.len() || kept < words.len(),
        })
    }

    /// One more than the largest id that can come out.
    pub fn vocabulary_size(&self) -> usize {
        self.vocabulary_size
    }

    /// The text's own tokens; of those that there is no room for, not all.
    fn words(&self, text: &str) -> Result<Vec<u32>, TokenizerError> {
        let failed = |error: tokenizers::Error| TokenizerError::Text { reason: error.to_string() };
        let mut words = self.added.extract_and_normalize(self.normalizer.as_ref(), text);
        if let Some(pre_tokenizer) = &self.pre_tokenizer {
            pre_tokenizer.pre_tokenize(&mut words).map_err(failed)?;
        }
        let mut ids = Vec::new();
        for (word, _, added) in words.get_splits(OffsetReferential::Normalized, OffsetType::None) {
            match (added, &self.model) {
                (Some(tokens), _) => ids.extend(tokens.iter().map(|token| token.id)),
                (None, Pieces::OfWords(pieces)) => pieces.cut(word, &mut ids),
                (None, Pieces::Others(model)) => {
                    ids.extend(model.tokenize(word).map_err(failed)?.iter().map(|token| token.id));
                }
            }
            if ids.len() > self.room {
                break;
            }
        }
        Ok(ids)
    }
}

/// What cuts a word.
enum Pieces {
    OfWords(WordPieces),
    Others(Box<ModelWrapper>),
}

/// A file's parts, before there is a limit.
struct Parts {
    added: AddedVocabulary,
    normalizer: Option<NormalizerWrapper>,
    pre_tokenizer: Option<PreTokenizerWrapper>,
    model: Pieces,
    front: Vec<u32>,
    back: Vec<u32>,
    vocabulary_size: usize,
}

/// What of a `tokenizer.json` is used. The decoder, truncation and padding are not.
#[derive(Deserialize)]
struct File<'a> {
    version: Option<String>,
    #[serde(default)]
    added_tokens: Vec<AddedToken>,
    normalizer: Option<NormalizerWrapper>,
    pre_tokenizer: Option<PreTokenizerWrapper>,
    post_processor: Option<PostProcessorWrapper>,
    #[serde(borrow)]
    model: &'a RawValue,
}

fn read(json: &[u8]) -> Result<Parts, String> {
    let file: File<'_> = serde_json::from_slice(json).map_err(|error| error.to_string())?;
    if let Some(version) = file.version.filter(|version| version != "1.0") {
        return Err(format!("its version is {version}, not 1.0"));
    }
    let (normalizer, pre_tokenizer) = (file.normalizer, file.pre_tokenizer);
    let failed = |error: tokenizers::Error| format!("added_tokens: {error}");
    let mut added = AddedVocabulary::new();
    let (model, largest) = match WordPieces::from_json(file.model.get()) {
        Some(model) => {
            let model = model?;
            let known = known(&file.added_tokens, model.vocabulary())?;
            added.add_tokens(file.added_tokens, &known, normalizer.as_ref()).map_err(failed)?;
            let largest = model.vocabulary().largest_id();
            (Pieces::OfWords(model), largest)
        }
        // Another model, or a damaged one: the crate says what is wrong with it.
        None => {
            let model: ModelWrapper =
                serde_json::from_str(file.model.get()).map_err(|error| error.to_string())?;
            added.add_tokens(file.added_tokens, &model, normalizer.as_ref()).map_err(failed)?;
            let largest = model.get_vocab().into_values().max();
            (Pieces::Others(Box::new(model)), largest)
        }
    };
    let (front, back) = special_tokens(file.post_processor.as_ref())?;
    let all = front.iter().chain(&back).chain(added.get_vocab().values()).copied().chain(largest);
    let vocabulary_size = all.max().map_or(0, |largest| largest as usize + 1);
    Ok(Parts { added, normalizer, pre_tokenizer, model, front, back, vocabulary_size })
}

/// The added tokens' ids, as the model that the crate asks for them: those in the vocabulary have theirs from it, others get
/// the next ones after it.
fn known(added: &[AddedToken], vocabulary: &Vocabulary) -> Result<WordPiece, String> {
    let mut ids = AHashMap::new();
    let mut next = u32::try_from(vocabulary.len()).map_err(|error| error.to_string())?;
    for token in added.iter().filter(|token| !token.content.is_empty()) {
        ids.entry(token.content.clone()).or_insert_with(|| {
            vocabulary.id("", &token.content).unwrap_or_else(|| {
                next += 1;
                next - 1
            })
        });
    }
    WordPiece::builder().vocab(ids).build().map_err(|error| error.to_string())
}

/// What is put before and after each text: found by having a single token processed, the same way for every kind of
/// processor. So a text is cut and framed by copying.
fn special_tokens(processor: Option<&PostProcessorWrapper>) -> Result<(Vec<u32>, Vec<u32>), String> {
    const TEXT: u32 = u32::MAX;
    let Some(processor) = processor else { return Ok((Vec::new(), Vec::new())) };
    let text = Encoding::from_tokens(vec![Token::new(TEXT, String::new(), (0, 0))], 0);
    let framed = processor.process(text, None, true).map_err(|error| format!("post_processor: {error}"))?;
    let mut parts = framed.get_ids().split(|&id| id == TEXT);
    match (parts.next(), parts.next(), parts.next()) {
        (Some(front), Some(back), None) => Ok((front.to_vec(), back.to_vec())),
        _ => Err("post_processor: a text does not come out of it exactly once".to_owned()),
    }
}

/// The first `count` characters.
fn first(text: &str, count: usize) -> &str {
    text.char_indices().nth(count).map_or(text, |(end, _)| &text[..end])
}

fn message(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| panic.downcast_ref::<&str>().map(|&message| message.to_owned()))
        .unwrap_or_else(|| "a panic without a message".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r###"{
        "version": "1.0",
        "truncation": {"max_length": 3, "strategy": "LongestFirst", "stride": 0},
        "padding": {"strategy": {"Fixed": 9}, "direction": "Right", "pad_to_multiple_of": null, "pad_id": 0,
                    "pad_type_id": 0, "pad_token": "[PAD]"},
        "added_tokens": [{"id": 3, "content": "[SEP]", "single_word": false, "lstrip": false, "rstrip": false,
                          "normalized": false, "special": true}],
        "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
                       "strip_accents": null, "lowercase": true},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {"type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
                       {"SpecialToken": {"id": "[SEP]", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {"[CLS]": {"id": "[CLS]", "ids": [2], "tokens": ["[CLS]"]},
                               "[SEP]": {"id": "[SEP]", "ids": [3], "tokens": ["[SEP]"]}}},
        "decoder": null,
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                  "max_input_chars_per_word": 100,
                  "vocab": {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "cafe": 4, "##s": 5, "!": 6, "你": 7,
                            "a": 8, "##a": 9}}
    }"###;

    fn tokenizer(max_length: usize, prefix: &str) -> Tokenizer {
        Tokenizer::from_json(FILE.as_bytes(), max_length, prefix).unwrap()
    }

    fn ids(text: &str) -> Vec<u32> {
        tokenizer(16, "").tokenize(text).unwrap().ids
    }

    #[test]
    fn a_text_becomes_word_pieces_between_special_tokens() {
        let tokenized = tokenizer(16, "").tokenize("Cafés!").unwrap();
        assert_eq!(tokenized, Tokenized { ids: vec![2, 4, 5, 6, 3], words: 1..4, truncated: false });
        assert_eq!(ids("CAFE\u{301}s !"), [2, 4, 5, 6, 3]);
        assert_eq!(ids("\u{0}caf\u{200b}es\u{a0}你你?"), [2, 4, 5, 7, 7, 1, 3]);
        assert_eq!(ids(""), [2, 3]);
        assert_eq!(ids("a[SEP]a"), [2, 8, 3, 8, 3]);
    }

    #[test]
    fn the_limit_counts_special_tokens_and_says_what_was_cut() {
        let tokenized = tokenizer(4, "").tokenize("! ! !").unwrap();
        assert_eq!(tokenized, Tokenized { ids: vec![2, 6, 6, 3], words: 1..3, truncated: true });
        assert!(!tokenizer(4, "").tokenize("! !").unwrap().truncated);
        assert!(!tokenizer(usize::MAX, "").tokenize("! !").unwrap().truncated);
        let wanted = TokenizerError::MaxLength { wanted: 3, special: 2, got: 2 };
        assert_eq!(Tokenizer::from_json(FILE.as_bytes(), 2, "").err(), Some(wanted));
    }

    #[test]
    fn a_word_that_is_cut_in_its_middle_is_cut() {
        let tokenized = tokenizer(4, "").tokenize("aaaa").unwrap();
        assert_eq!(tokenized, Tokenized { ids: vec![2, 8, 9, 3], words: 1..3, truncated: true });
    }

    #[test]
    fn characters_past_the_ten_thousandth_are_not_read() {
        let spaces = " ".repeat(MAX_CHARACTERS);
        assert_eq!(ids(&format!("{spaces}!")), [2, 3]);
        assert!(tokenizer(16, "").tokenize(&format!("{spaces}!")).unwrap().truncated);
        assert!(!tokenizer(16, "").tokenize(&spaces).unwrap().truncated);
        assert_eq!(ids(&format!("{}!", &spaces[1..])), [2, 6, 3]);
        assert_eq!(ids(&format!("{}é!", "\u{300}".repeat(MAX_CHARACTERS - 2))), [2, 1, 6, 3]);
    }

    #[test]
    fn the_prefix_is_not_counted_among_the_characters() {
        let tokenized =
            tokenizer(16, "a ").tokenize(&format!("{}!", " ".repeat(MAX_CHARACTERS - 1))).unwrap();
        assert_eq!(tokenized, Tokenized { ids: vec![2, 8, 6, 3], words: 1..3, truncated: false });
    }

    #[test]
    fn ids_stay_below_the_vocabulary_size() {
        assert_eq!(tokenizer(16, "").vocabulary_size(), 10);
        let special = FILE.replace("\"ids\": [3]", "\"ids\": [30]");
        assert_eq!(Tokenizer::from_json(special.as_bytes(), 16, "").unwrap().vocabulary_size(), 31);
        let added = FILE.replace("\"id\": 3, \"content\": \"[SEP]\"", "\"id\": 3, \"content\": \"[NEW]\"");
        let added = Tokenizer::from_json(added.as_bytes(), 16, "").unwrap();
        assert_eq!(added.vocabulary_size(), 11);
        assert_eq!(added.tokenize("[NEW]").unwrap().ids, [2, 10, 3]);
    }

    #[test]
    fn a_file_without_a_processor_adds_no_special_tokens() {
        let start = FILE.find("\"post_processor\"").unwrap();
        let end = FILE.find("\"decoder\"").unwrap();
        let plain = format!("{}{}", &FILE[..start], &FILE[end..]);
        let tokenized = Tokenizer::from_json(plain.as_bytes(), 2, "").unwrap().tokenize("! ! !").unwrap();
        assert_eq!(tokenized, Tokenized { ids: vec![6, 6], words: 0..2, truncated: true });
    }

    #[test]
    fn other_models_are_read_too() {
        let start = FILE.find("\"model\"").unwrap();
        let words = r#""model": {"type": "WordLevel", "unk_token": "?", "vocab": {"cafe": 40}}}"#;
        let tokenizer =
            Tokenizer::from_json(format!("{}{words}", &FILE[..start]).as_bytes(), 16, "").unwrap();
        assert_eq!(tokenizer.tokenize("Café").unwrap().ids, [2, 40, 3]);
        assert_eq!(tokenizer.vocabulary_size(), 41);
        assert!(matches!(tokenizer.tokenize("tea"), Err(TokenizerError::Text { .. })));
    }

    #[test]
    fn what_cannot_be_used_says_why() {
        let reason = |file: &str| match Tokenizer::from_json(file.as_bytes(), 16, "") {
            Err(TokenizerError::Unreadable { reason }) => reason,
            _ => panic!("wanted a refusal"),
        };
        assert!(reason("").contains("EOF"));
        assert!(reason("{}").contains("missing field `model`"));
        assert_eq!(reason(&FILE.replace("\"1.0\"", "\"2.0\"")), "its version is 2.0, not 1.0");
        assert_eq!(
            reason(&FILE.replace("\"[UNK]\": 1", "\"?\": 1")),
            "unk_token: [UNK] is not in the vocabulary"
        );
        assert!(reason(&FILE.replace("\"!\": 6", "\"!\": \"6\"")).contains("invalid type"));
        assert!(reason(&FILE.replace("\"WordPiece\"", "\"Wordpiece\"")).contains("ModelUntagged"));
        let twice = "{\"Sequence\": {\"id\": \"A\", \"type_id\": 0}}, {\"SpecialToken\": {\"id\": \"[SEP]\"";
        let twice = FILE.replacen("{\"SpecialToken\": {\"id\": \"[SEP]\"", twice, 1);
        assert_eq!(reason(&twice), "post_processor: a text does not come out of it exactly once");
        // Here the crate panics.
        reason(&FILE.replace("\"special_tokens\": {\"[CLS]\"", "\"special_tokens\": {\"[CL]\""));
        let half = FILE.char_indices().map(|(end, _)| end).step_by(7);
        half.for_each(|end| assert!(Tokenizer::from_json(&FILE.as_bytes()[..end], 16, "").is_err()));
    }

    #[test]
    fn threads_share_one() {
        let tokenizer = tokenizer(16, "");
        let wanted = tokenizer.tokenize("cafés a!").unwrap();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    (0..200).for_each(|_| assert_eq!(tokenizer.tokenize("cafés a!").unwrap(), wanted));
                });
            }
        });
    }
}
