//! Small models of random numbers, for checks.

use super::shape::{Activation, Architecture, Pooling, Shape};
use crate::kernels::random::Random;

/// A vocabulary of the letters, and what a BERT puts around a text.
const TOKENIZER: &str = r###"{"version":"1.0","truncation":null,"padding":null,"added_tokens":[],
"normalizer":{"type":"BertNormalizer","clean_text":true,"handle_chinese_chars":true,"strip_accents":null,"lowercase":true},
"pre_tokenizer":{"type":"BertPreTokenizer"},
"post_processor":{"type":"TemplateProcessing",
"single":[{"SpecialToken":{"id":"[CLS]","type_id":0}},{"Sequence":{"id":"A","type_id":0}},{"SpecialToken":{"id":"[SEP]","type_id":0}}],
"pair":[{"Sequence":{"id":"A","type_id":0}},{"Sequence":{"id":"B","type_id":1}}],
"special_tokens":{"[CLS]":{"id":"[CLS]","ids":[1],"tokens":["[CLS]"]},"[SEP]":{"id":"[SEP]","ids":[2],"tokens":["[SEP]"]}}},
"decoder":null,
"model":{"type":"WordPiece","unk_token":"[UNK]","continuing_subword_prefix":"##","max_input_chars_per_word":100,"vocab":{VOCABULARY}}}"###;

/// Rows of embeddings.
const VOCABULARY: usize = 3 + 2 * 26;

/// The shape of a small model of a kind.
#[must_use]
pub fn shape(architecture: Architecture) -> Shape {
    let bert = architecture == Architecture::Bert;
    Shape {
        architecture,
        layers: 2,
        heads: if bert { 4 } else { 2 },
        hidden: 128,
        inner: 192,
        vocabulary: VOCABULARY,
        positions: 40,
        max_length: 40,
        pooling: if bert { Pooling::Mean } else { Pooling::Cls },
        activation: if bert { Activation::Gelu } else { Activation::Relu },
        epsilon: 1e-12,
        block: 128,
        inner_block: 64,
    }
}

/// The bytes of a model's file.
///
/// # Panics
/// Never for the shapes of [`shape`].
#[must_use]
#[allow(clippy::cast_possible_truncation, clippy::missing_panics_doc, reason = "numbers of a small model")]
pub fn model(shape: &Shape, seed: u64) -> Vec<u8> {
    let mut random = Random::new(seed);
    let letters: Vec<String> = (b'a'..=b'z').map(|letter| char::from(letter).to_string()).collect();
    let words = ["[UNK]", "[CLS]", "[SEP]"].into_iter().map(String::from);
    let words = words.chain(letters.clone()).chain(letters.iter().map(|letter| format!("##{letter}")));
    let vocabulary: Vec<String> = words.enumerate().map(|(id, word)| format!("\"{word}\":{id}")).collect();
    let tokenizer = TOKENIZER.replace("VOCABULARY", &vocabulary.join(","));
    let [h, i, l] = [shape.hidden, shape.inner, shape.layers];

    let mut codes = |n: usize| -> Vec<u8> { (0..n).map(|_| random.next_i8(127).cast_unsigned()).collect() };
    let matrices = [(3 * h, h), (h, h), (i, h), (h, i)].map(|(n, k)| codes(l * n * k));
    let word_codes = codes(shape.vocabulary * h);
    let signs =
        [h, i].map(|n| codes(n).iter().map(|&byte| if byte > 127 { 255 } else { 1 }).collect::<Vec<u8>>());
    let mut floats = |n: usize, middle: f32, spread: f32| -> Vec<u8> {
        (0..n)
            .flat_map(|_| (middle + spread * f32::from(random.next_i8(127)) / 127.0).to_le_bytes())
            .collect()
    };
    let mut norm = |n: usize| -> Vec<u8> {
        (0..n).flat_map(|_| [floats(h, 1.0, 0.2), floats(h, 0.0, 0.2)].concat()).collect()
    };
    let (input_norm, attention_norm, output_norm) = (norm(1), norm(l), norm(l));
    let distances =
        if shape.architecture == Architecture::Bert { 0 } else { shape.heads * (2 * shape.max_length - 1) };
    let [qkv, out, up, down] = matrices;
    let sizes = [(3 * h, h), (h, h), (i, h), (h, i)];
    let mut sums = Vec::new();
    for layer in 0..l {
        for (matrix, (n, k)) in [&qkv, &out, &up, &down].into_iter().zip(sizes) {
            for panel in matrix[layer * n * k..(layer + 1) * n * k].chunks_exact(32 * k) {
                let mut of_panel = [0i32; 32];
                for (at, &code) in panel.iter().enumerate() {
                    of_panel[at / 4 % 32] += i32::from(code.cast_signed());
                }
                sums.extend(of_panel.iter().flat_map(|sum| sum.to_le_bytes()));
            }
        }
    }
    let mut scaled = |n: usize, k: usize| {
        let unit = 1.0 / (127.0 * (k as f32).sqrt());
        [floats(l * n, 1.5 * unit, 0.5 * unit), floats(l * n, 0.0, 0.3)]
    };
    let [qkv_scales, qkv_bias] = scaled(3 * h, h);
    let [out_scales, out_bias] = scaled(h, h);
    let [up_scales, up_bias] = scaled(i, h);
    let [down_scales, down_bias] = scaled(h, i);
    let [signs, inner_signs] = signs;
    let sections = [
        br#"{"space_id":"sample","producer":"core-int8","prefix":""}"#.to_vec(),
        tokenizer.into_bytes(),
        word_codes,
        floats(shape.vocabulary, 0.01, 0.005),
        floats(shape.positions * h, 0.0, 0.5),
        input_norm,
        signs,
        inner_signs,
        qkv,
        qkv_scales,
        qkv_bias,
        out,
        out_scales,
        out_bias,
        attention_norm,
        up,
        up_scales,
        up_bias,
        down,
        down_scales,
        down_bias,
        output_norm,
        floats(distances, 0.0, 2.0),
        sums,
    ];
    super::head::file_of(shape, &sections)
}
