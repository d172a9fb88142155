//! The analyzers: one that cuts words and stems them for each language, and one that cuts character grams.

use std::collections::HashSet;
use std::fmt;

use rust_stemmers::{Algorithm, Stemmer};
use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfkc_quick};
use unicode_segmentation::UnicodeSegmentation;

use super::english;
use crate::error::InputError;

const LANGUAGES: [(&str, Algorithm); 18] = [
    ("arabic", Algorithm::Arabic),
    ("danish", Algorithm::Danish),
    ("dutch", Algorithm::Dutch),
    ("english", Algorithm::English),
    ("finnish", Algorithm::Finnish),
    ("french", Algorithm::French),
    ("german", Algorithm::German),
    ("greek", Algorithm::Greek),
    ("hungarian", Algorithm::Hungarian),
    ("italian", Algorithm::Italian),
    ("norwegian", Algorithm::Norwegian),
    ("portuguese", Algorithm::Portuguese),
    ("romanian", Algorithm::Romanian),
    ("russian", Algorithm::Russian),
    ("spanish", Algorithm::Spanish),
    ("swedish", Algorithm::Swedish),
    ("tamil", Algorithm::Tamil),
    ("turkish", Algorithm::Turkish),
];

const GRAMS: &str = "char4";

/// All names, for the message about a wrong one.
const NAMES: &str = "one of \"arabic\", \"danish\", \"dutch\", \"english\", \"finnish\", \"french\", \"german\", \
    \"greek\", \"hungarian\", \"italian\", \"norwegian\", \"portuguese\", \"romanian\", \"russian\", \"spanish\", \
    \"swedish\", \"tamil\", \"turkish\", \"char4\"";

/// Characters in a gram.
const GRAM: usize = 4;

/// Longest word, in bytes, that is stemmed. No word of any of the languages is longer, and stemmers take time that
/// grows with more than the length.
const LONGEST_STEMMED: usize = 256;

/// Which words are left out.
#[derive(Debug, Clone, Default)]
pub enum StopWords {
    /// The analyzer's own: English function words for "english", none for the others.
    #[default]
    Own,
    /// These, and no others.
    Given(Vec<String>),
}

/// Cuts text into terms. Text is brought into Unicode's form NFKC first, so that an accent written as a character of its
/// own, a ligature, or a full-width digit makes no difference.
///
/// * A language's name: words by the Unicode rules (UAX #29), in lower case, stop words left out, the rest replaced by
///   its Snowball stem. Numbers are words, and each character of a script without spaces is one. Typographic
///   apostrophes count as `'`; for English a final `'s` is cut off first.
/// * "char4": in lower case, each run of white space, control characters and punctuation becomes one space, with one
///   at either end; the terms are all runs of four characters. A text of fewer gives one term.
pub struct Analyzer {
    name: &'static str,
    kind: Kind,
}

enum Kind {
    Words { language: Algorithm, stemmer: Stemmer, stop_words: HashSet<Box<str>> },
    Grams,
}

impl fmt::Debug for Analyzer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Analyzer").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Analyzer {
    /// The analyzer of that name.
    ///
    /// # Errors
    /// [`InputError::Range`] if there is none, or if stop words are given for character grams.
    pub fn new(name: &str, stop_words: &StopWords) -> Result<Self, InputError> {
        if name == GRAMS {
            return match stop_words {
                StopWords::Given(words) if !words.is_empty() => Err(InputError::Range {
                    argument: "stop_words",
                    wanted: "none with analyzer \"char4\", which knows no words",
                    got: format!("{} words", words.len()),
                }),
                _ => Ok(Self { name: GRAMS, kind: Kind::Grams }),
            };
        }
        let Some(&(name, language)) = LANGUAGES.iter().find(|(known, _)| *known == name) else {
            return Err(InputError::Range { argument: "analyzer", wanted: NAMES, got: format!("{name:?}") });
        };
        let stop_words = match stop_words {
            StopWords::Own if language == Algorithm::English => {
                english::STOP_WORDS.iter().copied().map(Box::from).collect()
            }
            StopWords::Own => HashSet::new(),
            StopWords::Given(words) => {
                words.iter().map(|word| Box::from(bare(&folded(word), language))).collect()
            }
        };
        Ok(Self { name, kind: Kind::Words { language, stemmer: Stemmer::create(language), stop_words } })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Calls `term` with each term of `text`, in order.
    pub fn each_term(&self, text: &str, mut term: impl FnMut(&str)) {
        match &self.kind {
            Kind::Grams => each_gram(text, term),
            Kind::Words { language, stemmer, stop_words } => {
                for word in folded(text).unicode_words() {
                    let word = bare(word, *language);
                    if stop_words.contains(word) {
                        continue;
                    }
                    if word.len() > LONGEST_STEMMED {
                        term(word);
                        continue;
                    }
                    let stem = stemmer.stem(word);
                    term(if stem.is_empty() { word } else { &stem });
                }
            }
        }
    }

    /// The terms of `text`, in order.
    #[must_use]
    pub fn analyze(&self, text: &str) -> Vec<String> {
        let mut terms = Vec::new();
        self.each_term(text, |term| terms.push(term.to_owned()));
        terms
    }
}

/// Normalised, in lower case, with one kind of apostrophe.
fn folded(text: &str) -> String {
    let is_variant = |c| matches!(c, '\u{2018}' | '\u{2019}' | '\u{02BC}');
    let lower = match is_nfkc_quick(text.chars()) {
        IsNormalized::Yes => text.to_lowercase(),
        _ => text.nfkc().collect::<String>().to_lowercase(),
    };
    if lower.contains(is_variant) { lower.replace(is_variant, "'") } else { lower }
}

/// Without the ending that marks an English possessive or a contracted "is".
fn bare(word: &str, language: Algorithm) -> &str {
    match word.strip_suffix("'s") {
        Some(bare) if language == Algorithm::English && !bare.is_empty() => bare,
        _ => word,
    }
}

fn is_border(c: char) -> bool {
    // White space and punctuation of ASCII, the general block, CJK and the full-width forms. Joiners (U+200C, U+200D)
    // hold words and emoji together.
    c.is_whitespace()
        || c.is_control()
        || c.is_ascii_punctuation()
        || matches!(c, '\u{2000}'..='\u{200B}' | '\u{200E}'..='\u{206F}' | '\u{3000}'..='\u{303F}' | '\u{FF01}'..='\u{FF0F}'
            | '\u{FF1A}'..='\u{FF20}' | '\u{FF3B}'..='\u{FF40}' | '\u{FF5B}'..='\u{FF65}' | '¡' | '¿' | '«' | '»' | '·')
}

fn each_gram(text: &str, mut gram: impl FnMut(&str)) {
    let mut spaced = String::with_capacity(text.len() + 2);
    for word in folded(text).split(is_border).filter(|word| !word.is_empty()) {
        spaced.push(' ');
        spaced.push_str(word);
    }
    if spaced.is_empty() {
        return;
    }
    spaced.push(' ');
    let starts = || spaced.char_indices().map(|(at, _)| at);
    let ends = starts().chain([spaced.len()]).skip(GRAM);
    let mut any = false;
    for (start, end) in starts().zip(ends) {
        any = true;
        gram(&spaced[start..end]);
    }
    if !any {
        gram(&spaced);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn analyzer(name: &str) -> Analyzer {
        Analyzer::new(name, &StopWords::Own).unwrap()
    }

    fn all_names() -> impl Iterator<Item = &'static str> {
        LANGUAGES.iter().map(|&(name, _)| name).chain([GRAMS])
    }

    #[test]
    fn the_message_lists_every_name() {
        let message = Analyzer::new("klingon", &StopWords::Own).unwrap_err().to_string();
        assert!(all_names().all(|name| message.contains(&format!("\"{name}\""))), "{message}");
    }

    #[test]
    fn english_cuts_stop_words_and_stems() {
        let english = analyzer("english");
        assert_eq!(english.analyze("What did Caroline's friends do in 2023?"), ["carolin", "friend", "2023"]);
        assert_eq!(english.analyze("Don’t! I’m running; it’s Bob’s."), ["run", "bob"]);
        let all = Analyzer::new("english", &StopWords::Given(Vec::new())).unwrap();
        assert_eq!(all.analyze("the cats"), ["the", "cat"]);
        let given = Analyzer::new("english", &StopWords::Given(vec!["Cat’s".into()])).unwrap();
        assert_eq!(given.analyze("the cat sat"), ["the", "sat"]);
    }

    #[test]
    fn grams_stand_at_word_borders() {
        assert_eq!(analyzer("char4").analyze("A  Cat!"), [" a c", "a ca", " cat", "cat "]);
        assert_eq!(analyzer("char4").analyze("x"), [" x "]);
        assert!(analyzer("char4").analyze(" \0!? ").is_empty());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        /// The stemmers are generated code that cuts strings: none may panic or give an empty term.
        #[test]
        fn any_text_gives_terms(text in prop_oneof!["\\PC{0,40}", "[a-zäöüßéèçñığşœà'’ ]{0,40}",
                "[\u{0370}-\u{03ff}]{0,20}", "[\u{0400}-\u{04ff}]{0,20}", "[\u{0600}-\u{06ff}]{0,20}", "[\u{0b80}-\u{0bff}]{0,20}"]) {
            for name in all_names() {
                for term in analyzer(name).analyze(&text) {
                    prop_assert!(!term.is_empty());
                }
            }
        }
    }

    #[test]
    fn a_huge_word_takes_no_time() {
        let word = "ationalness".repeat(100_000);
        for name in all_names() {
            let terms = analyzer(name).analyze(&word).len();
            assert_eq!(terms, if name == GRAMS { word.len() - 1 } else { 1 });
        }
    }
}
