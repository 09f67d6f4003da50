//! Few combinations that cover many: a covering array, made greedily and always the same.

use std::cmp::Reverse;
use std::collections::BTreeSet;

/// Combinations, each with the number of one value of every axis. `sizes` says how many values the
/// axes have. Each of `cover` is a set of axes, all of whose combinations occur.
///
/// The first combination that is not covered yet is taken, and the other axes get the values that
/// cover most beside it; of equals, those that were used least.
pub(super) fn combinations(sizes: &[usize], cover: &[Vec<usize>]) -> Vec<Vec<usize>> {
    let mut open = BTreeSet::new();
    for (set, axes) in cover.iter().enumerate() {
        open.extend(every(axes, sizes).into_iter().map(|values| (set, values)));
    }
    let mut used: Vec<Vec<usize>> = sizes.iter().map(|size| vec![0; *size]).collect();
    let mut rows = Vec::new();
    while let Some((set, values)) = open.first().cloned() {
        let mut row = vec![None; sizes.len()];
        for (axis, value) in cover[set].iter().zip(values) {
            row[*axis] = Some(value);
        }
        for axis in 0..sizes.len() {
            if row[axis].is_none() {
                let best = (0..sizes[axis]).max_by_key(|value| {
                    row[axis] = Some(*value);
                    let gain = covered(&row, cover).filter(|known| open.contains(known)).count();
                    (gain, Reverse(used[axis][*value]), Reverse(*value))
                });
                row[axis] = best;
            }
        }
        for known in covered(&row, cover) {
            open.remove(&known);
        }
        let row: Vec<usize> = row.into_iter().flatten().collect();
        for (axis, value) in row.iter().enumerate() {
            used[axis][*value] += 1;
        }
        rows.push(row);
    }
    rows
}

/// All combinations of values of these axes.
fn every(axes: &[usize], sizes: &[usize]) -> Vec<Vec<usize>> {
    axes.iter().fold(vec![Vec::new()], |found, axis| {
        let longer = |start: Vec<usize>| {
            (0..sizes[*axis]).map(move |value| [start.as_slice(), &[value]].concat())
        };
        found.into_iter().flat_map(longer).collect()
    })
}

/// What a row covers as far as its values are known.
fn covered<'a>(
    row: &'a [Option<usize>],
    cover: &'a [Vec<usize>],
) -> impl Iterator<Item = (usize, Vec<usize>)> + 'a {
    cover.iter().enumerate().filter_map(|(set, axes)| {
        let values: Option<Vec<usize>> = axes.iter().map(|axis| row[*axis]).collect();
        Some((set, values?))
    })
}

#[cfg(test)]
mod tests {
    use super::{combinations, every};

    #[test]
    fn every_combination_of_each_set_occurs_and_few_rows_are_needed() {
        let pairs = || vec![vec![0, 1], vec![0, 2], vec![1, 2]];
        let cases = [
            (vec![27, 4, 2], pairs(), 108),
            (vec![3, 3, 3], pairs(), 11),
            (vec![2, 5], vec![vec![0, 1]], 10),
            (vec![4, 3, 2], vec![vec![0, 1, 2]], 24),
            (vec![7, 3], vec![vec![0], vec![1]], 7),
        ];
        for (sizes, cover, most) in cases {
            let rows = combinations(&sizes, &cover);
            for axes in &cover {
                for wanted in every(axes, &sizes) {
                    let occurs = |row: &Vec<usize>| {
                        axes.iter().zip(&wanted).all(|(axis, value)| row[*axis] == *value)
                    };
                    assert!(rows.iter().any(occurs), "{sizes:?}: {axes:?} {wanted:?}");
                }
            }
            assert!(rows.len() <= most, "{sizes:?}: {}", rows.len());
            assert_eq!(rows, combinations(&sizes, &cover));
        }
    }
}
