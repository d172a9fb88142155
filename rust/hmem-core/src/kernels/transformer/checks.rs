//! The checks of all instruction sets against the scalar one, callable from a plain program (see `examples/check_kernels.rs`).

use super::{
    Attention, Finish, Scratch, add_product, add_row, attend, embed, normalise, product, product_gelu,
    product_relu,
};
use super::{quantise, unit};
use crate::kernels::isa::Isa;
use crate::kernels::product::CHANNELS;
use crate::kernels::random::Random;

/// Compares the bits of all that a transformer computes between its products.
///
/// # Panics
/// If they differ.
pub fn same_bits(isa: Isa) {
    for width in [64, 128, 384, 1536] {
        rows(isa, width);
    }
    finished(isa);
    for (heads, parts, tokens) in [(1, 1, 1), (2, 1, 5), (2, 1, 16), (3, 1, 17), (1, 2, 33), (2, 2, 70)] {
        for far in [false, true] {
            attended(isa, heads, parts, tokens, far);
        }
    }
}

/// Ordinary numbers, zeros of both signs, and some far larger or smaller.
#[allow(clippy::cast_precision_loss, reason = "24 bits fit float32")]
fn numbers(random: &mut Random, n: usize) -> Vec<f32> {
    let one = |bits: u64| {
        let x = (bits >> 40) as f32 / 8_388_608.0 - 1.0;
        match bits & 31 {
            0 => 0.0,
            1 => -0.0,
            2 => x * 1e-20,
            3 => x * 50.0,
            _ => x * 3.0,
        }
    };
    (0..n).map(|_| one(random.next_u64())).collect()
}

fn compare(isa: Isa, what: &str, of: impl Fn(Isa) -> Vec<f32>) {
    let bits = |isa| of(isa).into_iter().map(f32::to_bits).collect::<Vec<_>>();
    assert_eq!(bits(isa), bits(Isa::Scalar), "{isa:?}, {what}");
}

fn rows(isa: Isa, width: usize) {
    let random = &mut Random::new(width as u64);
    let (row, other, gamma) = (numbers(random, width), numbers(random, width), numbers(random, width));
    let codes: Vec<i8> = (0..width).map(|_| random.next_i8(127)).collect();
    compare(isa, "embed", |isa| {
        let mut out = vec![0.0; width];
        embed(isa, &codes, 0.037, &row, &mut out);
        add_row(isa, &other, &mut out);
        out
    });
    compare(isa, "normalise", |isa| {
        let mut out = row.clone();
        normalise(isa, &mut out, &gamma, &other, 1e-12);
        out
    });
    compare(isa, "unit", |isa| {
        let mut out = vec![0.0; width];
        unit(isa, &row, &mut out);
        out
    });
    // Halves of a unit are rounded too.
    let steps: Vec<f32> =
        (0..width).map(|i| if i == 0 { 127.0 } else { (i % 250) as f32 / 2.0 - 62.0 }).collect();
    for row in [&row, &steps, &vec![0.0; width], &vec![1e-35; width]] {
        compare(isa, "quantise", |isa| {
            let mut out = vec![0; width];
            let scale = quantise(isa, row, &mut out);
            out.into_iter().map(f32::from).chain([scale]).collect()
        });
    }
}

fn finished(isa: Isa) {
    let random = &mut Random::new(3);
    let sums: Vec<[i32; CHANNELS]> =
        (0..5).map(|_| std::array::from_fn(|_| (random.next_u64() >> 39) as i32 - (1 << 24))).collect();
    let (row_scales, there) = (numbers(random, 5), numbers(random, 5 * 40));
    let panel = |random: &mut Random| -> [f32; CHANNELS] {
        std::array::from_fn(|_| f32::from(random.next_i8(127)) / 1e6)
    };
    let (scales, bias) = (panel(random), panel(random));
    let finish = Finish { row_scales: &row_scales, scales: &scales, bias: &bias, stride: 40 };
    for (name, write) in [
        ("product", product as fn(_, &[_], _, &mut _)),
        ("product_gelu", product_gelu),
        ("product_relu", product_relu),
        ("add_product", add_product),
    ] {
        compare(isa, name, |isa| {
            let mut out = there.clone();
            write(isa, &sums, finish, &mut out);
            out
        });
    }
}

fn attended(isa: Isa, heads: usize, parts: usize, tokens: usize, far: bool) {
    let random = &mut Random::new((heads * parts * tokens) as u64);
    let (before, width, farthest) = (2, heads * parts * CHANNELS, tokens + 3);
    let rows = before + tokens + 1;
    let qkv = numbers(random, 3 * width * rows);
    let distance = if far { numbers(random, heads * (2 * farthest + 17)) } else { Vec::new() };
    let attention =
        Attention { qkv: &qkv, rows, first: before, tokens, heads, parts, distance: &distance, farthest };
    compare(isa, "attend", |isa| {
        let mut out = vec![0.0; tokens * width];
        attend(isa, attention, &mut Scratch::default(), &mut out);
        out
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::dot::dot64;

    #[test]
    fn all_sets_give_the_same_bits() {
        for isa in Isa::available() {
            same_bits(isa);
        }
    }

    fn close(got: &[f32], wanted: &[f64], within: f64) {
        for (i, (&got, wanted)) in got.iter().zip(wanted).enumerate() {
            assert!((f64::from(got) - wanted).abs() <= within, "{i}: {got} {wanted}");
        }
    }

    #[test]
    fn rows_become_what_they_should() {
        let row: Vec<f32> = numbers(&mut Random::new(1), 384);
        let wide: Vec<f64> = row.iter().map(|&x| f64::from(x)).collect();
        let length = dot64(&row, &row).sqrt();
        let mut out = vec![0.0; 384];
        unit(Isa::Scalar, &row, &mut out);
        close(&out, &wide.iter().map(|x| x / length).collect::<Vec<_>>(), 1e-6);
        let mean = wide.iter().sum::<f64>() / 384.0;
        let variance = wide.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / 384.0;
        let wanted: Vec<f64> =
            wide.iter().map(|x| (x - mean) / (variance + 0.01).sqrt() * 2.0 + 3.0).collect();
        out.copy_from_slice(&row);
        normalise(Isa::Scalar, &mut out, &[2.0; 384], &[3.0; 384], 0.01);
        close(&out, &wanted, 1e-5);
        let mut codes = vec![0; 384];
        let scale = quantise(Isa::Scalar, &row, &mut codes);
        let largest = wide.iter().fold(0.0f64, |most, x| most.max(x.abs()));
        close(&[scale], &[largest / 127.0], 1e-7);
        let back: Vec<f32> = codes.iter().map(|&code| f32::from(code) * scale).collect();
        close(&back, &wide, largest / 127.0 * 0.5001);
        assert!(codes.contains(&127) || codes.contains(&-127));
        unit(Isa::Scalar, &[0.0; 384], &mut out);
        assert!(out.iter().all(|&x| x == 0.0));
    }

    #[test]
    fn attention_is_a_softmax_over_a_texts_own_tokens() {
        let (heads, parts, tokens, before) = (2, 2, 21, 3);
        let (rows, width, head) = (before + tokens + 2, heads * parts * CHANNELS, parts * CHANNELS);
        let random = &mut Random::new(5);
        let qkv: Vec<f32> = (0..3 * width * rows).map(|_| f32::from(random.next_i8(100)) / 200.0).collect();
        let farthest = tokens + 1;
        let distance: Vec<f32> = (0..heads * (2 * farthest + 17)).map(|i| (i % 7) as f32 / 3.0).collect();
        let attention =
            Attention { qkv: &qkv, rows, first: before, tokens, heads, parts, distance: &distance, farthest };
        let mut out = vec![0.0; tokens * width];
        attend(Isa::Scalar, attention, &mut Scratch::default(), &mut out);
        let at = |kind: usize, h: usize, token: usize, d: usize| {
            let panel = (kind * heads + h) * parts + d / CHANNELS;
            f64::from(qkv[(panel * rows + before + token) * CHANNELS + d % CHANNELS])
        };
        for (h, i) in (0..heads).flat_map(|h| (0..tokens).map(move |i| (h, i))) {
            let weight = |j: usize| {
                let far = f64::from(distance[h * (2 * farthest + 17) + farthest + j - i]);
                ((0..head).map(|d| at(0, h, i, d) * at(1, h, j, d)).sum::<f64>() + far).exp()
            };
            let all: f64 = (0..tokens).map(weight).sum();
            let wanted: Vec<f64> =
                (0..head).map(|d| (0..tokens).map(|j| weight(j) / all * at(2, h, j, d)).sum()).collect();
            close(&out[i * width + h * head..][..head], &wanted, 2e-6);
        }
    }
}
