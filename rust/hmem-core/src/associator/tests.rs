//! Against the matrix that is never made, and against the formula, whatever was learned and forgotten before.

use proptest::prelude::*;

use super::*;
use crate::codes::{CodeShape, Codes, index_codes};
use crate::error::AssociationError;
use crate::kernels::isa::Isa;
use crate::rows::Rows;

const UNITS: usize = 12;
const ACTIVE: usize = 3;

type Code = Vec<i32>;

/// An association as it is held: cue, target, weight.
type Held = (Code, Code, f32);

fn shape() -> CodeShape {
    CodeShape::new(UNITS, ACTIVE).unwrap()
}

fn codes(rows: &[Code], shape: CodeShape) -> Codes {
    Codes::new("codes", Rows::new(&rows.concat(), rows.len(), shape.n_active()).unwrap(), shape).unwrap()
}

fn learn(associator: &Associator, held: &[Held]) {
    let (cues, targets): (Vec<_>, Vec<_>) =
        held.iter().map(|(cue, target, _)| (cue.clone(), target.clone())).unzip();
    let weights: Vec<f32> = held.iter().map(|&(_, _, weight)| weight).collect();
    associator.learn(&codes(&cues, shape()), &codes(&targets, shape()), Some(&weights)).unwrap();
}

/// A code with places that nothing fills, its units in any order.
fn code() -> impl Strategy<Value = Code> {
    (prop::sample::subsequence((0..number(UNITS)).collect::<Vec<_>>(), 1..=ACTIVE), any::<bool>()).prop_map(
        |(mut units, reversed)| {
            units.resize(ACTIVE, -1);
            if reversed {
                units.reverse();
            }
            units
        },
    )
}

/// Weights of a few bits: their sums are exact in float64, in any order.
fn association() -> impl Strategy<Value = Held> {
    (code(), code(), (1u8..32).prop_map(|eighths| f32::from(eighths) / 8.0))
}

fn number(unit: usize) -> i32 {
    i32::try_from(unit).unwrap()
}

fn is_unit(code: &[i32], unit: usize) -> bool {
    code.contains(&number(unit))
}

fn overlap(a: &[i32], b: &[i32]) -> usize {
    (0..UNITS).filter(|&unit| is_unit(a, unit) && is_unit(b, unit)).count()
}

/// The strengths by the formula.
fn strengths(held: &[Held], cue: &[i32], power: i32, theta: usize) -> Vec<f64> {
    let mut sums = vec![0.0; UNITS];
    for (key, target, weight) in held {
        let shared = overlap(key, cue);
        for unit in (0..UNITS).filter(|&unit| shared >= theta && is_unit(target, unit)) {
            sums[unit] += f64::from(*weight) * (shared as f64).powi(power);
        }
    }
    sums
}

/// The strengths by the matrix of units times units.
fn dense(held: &[Held], cue: &[i32]) -> Vec<f64> {
    let mut matrix = [[0f64; UNITS]; UNITS];
    for (key, target, weight) in held {
        for (_, row) in matrix.iter_mut().enumerate().filter(|(unit, _)| is_unit(target, *unit)) {
            for (from, entry) in row.iter_mut().enumerate() {
                *entry += if is_unit(key, from) { f64::from(*weight) } else { 0.0 };
            }
        }
    }
    let product =
        |row: &[f64; UNITS]| (0..UNITS).filter(|&from| is_unit(cue, from)).map(|from| row[from]).sum();
    matrix.iter().map(product).collect()
}

/// All units with a strength, the strongest first, then smaller units first.
fn ranked(strengths: &[f64]) -> Vec<(i32, f32)> {
    let mut units: Vec<usize> = (0..UNITS).filter(|&unit| strengths[unit] > 0.0).collect();
    units.sort_by(|&a, &b| strengths[b].total_cmp(&strengths[a]));
    units.into_iter().map(|unit| (number(unit), strengths[unit] as f32)).collect()
}

fn activated(associator: &Associator, cue: &Code) -> Vec<(i32, f32)> {
    let found = associator.activate(&codes(std::slice::from_ref(cue), shape()), UNITS);
    let (active, rest): (Vec<_>, Vec<_>) =
        found.units.into_iter().zip(found.strengths).partition(|(unit, _)| *unit >= 0);
    assert!(rest.iter().all(|&place| place == (-1, 0.0)), "{rest:?}");
    active
}

/// What a recall should answer where these units are active.
fn winners(mut active: Vec<(i32, f32)>) -> Code {
    active.truncate(ACTIVE);
    let mut units: Code = active.into_iter().map(|(unit, _)| unit).collect();
    units.sort_unstable();
    units.resize(ACTIVE, -1);
    units
}

proptest! {
    #[test]
    fn answers_are_those_of_what_is_held(
        batches in prop::collection::vec((prop::collection::vec(association(), 0..8), any::<prop::sample::Index>(), any::<bool>()), 1..10),
        cue in code(),
        (power, theta) in (0i32..5, 1usize..4),
    ) {
        let floor = Some(theta);
        for isa in [Isa::Scalar, *Isa::available().last().unwrap()] {
            let (edited, linear) = (Associator::new(isa, shape(), power.into(), floor).unwrap(), Associator::new(isa, shape(), 1.0, Some(1)).unwrap());
            let mut held: Vec<Held> = Vec::new();
            for (some, gone, forgets) in &batches {
                learn(&edited, some);
                learn(&linear, some);
                held.extend(some.iter().cloned());
                if *forgets && !held.is_empty() {
                    let (cue, target, _) = held[gone.index(held.len())].clone();
                    // The last of those that are the same up to the order of units.
                    let same = |a: &Code, b: &Code| (0..UNITS).all(|unit| is_unit(a, unit) == is_unit(b, unit));
                    let last = held.iter().rposition(|one| same(&one.0, &cue) && same(&one.1, &target)).unwrap();
                    held.remove(last);
                    for associator in [&edited, &linear] {
                        associator.forget(&codes(std::slice::from_ref(&cue), shape()), &codes(std::slice::from_ref(&target), shape())).unwrap();
                    }
                }
                prop_assert_eq!(edited.len(), held.len());
            }
            let wanted = ranked(&strengths(&held, &cue, power, theta));
            prop_assert_eq!(&activated(&edited, &cue), &wanted);
            prop_assert_eq!(edited.recall(&codes(std::slice::from_ref(&cue), shape()), 1), winners(wanted));
            prop_assert_eq!(activated(&linear, &cue), ranked(&dense(&held, &cue)));
        }
    }

    /// With any weights, to the last bit: sums are integers.
    #[test]
    fn the_order_of_learning_does_not_matter(
        mut held in prop::collection::vec((code(), code(), 1e-6f32..1e6), 1..40),
        cue in code(),
        (power, floor) in (0f64..9.0, prop::option::of(1usize..3)),
    ) {
        let new = || Associator::new(Isa::Scalar, shape(), power, floor).unwrap();
        let (first, second) = (new(), new());
        learn(&first, &held);
        held.reverse();
        held.iter().for_each(|one| learn(&second, std::slice::from_ref(one)));
        prop_assert_eq!(activated(&first, &cue), activated(&second, &cue));
    }

    #[test]
    fn hops_are_recalls_of_recalls(
        held in prop::collection::vec(association(), 1..30),
        cues in prop::collection::vec(code(), 0..4),
        floor in prop::option::of(1usize..3),
    ) {
        let associator = Associator::new(Isa::Scalar, shape(), 3.0, floor).unwrap();
        learn(&associator, &held);
        let mut step = codes(&cues, shape());
        for hops in 1..5 {
            let found = associator.recall(&step, 1);
            prop_assert_eq!(&associator.recall(&codes(&cues, shape()), hops), &found);
            step = Codes::new("cues", Rows::new(&found, cues.len(), ACTIVE).unwrap(), shape()).unwrap();
        }
    }
}

#[test]
fn what_is_not_held_cannot_be_forgotten_and_then_nothing_is() {
    let associator = Associator::new(Isa::Scalar, shape(), 3.0, None).unwrap();
    let (a, b) = (vec![1, 2, 3], vec![4, 5, -1]);
    learn(
        &associator,
        &[(a.clone(), b.clone(), 1.0), (a.clone(), b.clone(), 2.0), (b.clone(), a.clone(), 1.0)],
    );
    let forget = |cues: &[&Code], targets: &[&Code]| {
        let own = |rows: &[&Code]| codes(&rows.iter().map(|&row| row.clone()).collect::<Vec<_>>(), shape());
        associator.forget(&own(cues), &own(targets))
    };
    // Part of a cue, part of a target, and an association that is there twice, three times.
    for (cues, targets, row) in [
        (vec![&a, &vec![1, 2, -1]], vec![&b, &b], 1),
        (vec![&a], vec![&vec![4, -1, -1]], 0),
        (vec![&a, &a, &a], vec![&b, &b, &b], 2),
    ] {
        assert_eq!(forget(&cues, &targets), Err(AssociationError::Unknown { row }));
        assert_eq!(associator.len(), 3);
    }
    forget(&[&vec![3, 1, 2]], &[&vec![-1, 5, 4]]).unwrap();
    assert_eq!(activated(&associator, &a), [(4, 27.0), (5, 27.0)], "the one that was learned last is gone");
    forget(&[&a, &b], &[&b, &a]).unwrap();
    assert!(associator.is_empty() && forget(&[&a], &[&b]).is_err());
    assert!(forget(&[&a], &[]).is_err());
}

#[test]
fn bad_settings_and_weights_are_refused() {
    let new = |power, theta| Associator::new(Isa::Scalar, shape(), power, theta);
    assert!(new(-0.1, None).is_err() && new(f64::NAN, None).is_err() && new(17.0, None).is_err());
    assert!(new(1.0, Some(0)).is_err());
    let wide = CodeShape::new(1 << 16, (1 << 14) + 1).unwrap();
    assert!(Associator::new(Isa::Scalar, wide, 1.0, None).is_err());
    let associator = new(1.0, None).unwrap();
    let one = codes(&[vec![1, 2, 3]], shape());
    for weight in [0.0, -1.0, f32::NAN, f32::INFINITY] {
        assert!(associator.learn(&one, &one, Some(&[weight])).is_err(), "{weight}");
    }
    assert!(associator.learn(&one, &one, Some(&[])).is_err());
    assert!(associator.learn(&one, &codes(&[vec![-1; 3]], shape()), None).is_err());
    assert!(associator.is_empty());
}

/// Past the size at which segments are left alone, with two directories of cues.
#[test]
fn chains_of_random_codes_hold() {
    let (shape, n) = (CodeShape::new(16_384, 50).unwrap(), 40_000);
    let all = index_codes(&(0..=n).collect::<Vec<i64>>(), shape, 0);
    let codes = |rows: std::ops::Range<usize>| {
        let data = &all[rows.start * 50..rows.end * 50];
        Codes::new("codes", Rows::new(data, rows.len(), 50).unwrap(), shape).unwrap()
    };
    let n = usize::try_from(n).unwrap();
    let associator = Associator::new(*Isa::available().last().unwrap(), shape, 3.0, None).unwrap();
    associator.learn(&codes(0..n - 9), &codes(1..n - 8), None).unwrap();
    for at in n - 9..n {
        associator.learn(&codes(at..at + 1), &codes(at + 1..at + 2), None).unwrap();
    }
    for start in [0, 17, 32_760, 32_768, n - 6] {
        assert_eq!(associator.recall(&codes(start..start + 1), 6), all[(start + 6) * 50..(start + 7) * 50]);
    }
    assert_eq!(associator.recall(&codes(n..n + 1), 1), [-1; 50], "a miss invents nothing");
    assert!(associator.nbytes() / n < 301);
}

#[test]
fn recalls_beside_a_writer_see_whole_calls() {
    let associator = Associator::new(*Isa::available().last().unwrap(), shape(), 1.0, Some(1)).unwrap();
    let (cues, targets) = (codes(&vec![vec![1, 2, 3]; 7], shape()), codes(&vec![vec![4, 5, 6]; 7], shape()));
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for _ in 0..300 {
                associator.learn(&cues, &targets, None).unwrap();
                associator.forget(&cues, &targets).unwrap();
            }
        });
        while !writer.is_finished() {
            let strength = activated(&associator, &vec![1, 2, 3]).first().map_or(0.0, |first| first.1);
            assert!(strength == 0.0 || strength == 21.0, "{strength}");
        }
    });
}
