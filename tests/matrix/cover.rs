//! Covering arrays: as few rows as a greedy search finds in which every combination of two (or three) values stands.
//!
//! Pure and seeded: the same axes, strength and seed give the same rows. Combinations that the caller calls impossible
//! are left out and counted, never silently: `Cover::left_out` is what could not be covered.

use super::cells::{Cell, Draft};

const AXES: usize = Cell::LEVELS.len();
/// Values of all axes together.
const LEVELS: usize = 77;
/// Rows tried for each row that is taken.
const CANDIDATES: usize = 6;

const _: () = {
    let (mut axis, mut sum) = (0, 0);
    while axis < AXES {
        sum += Cell::LEVELS[axis];
        axis += 1;
    }
    assert!(sum == LEVELS, "the number of all values");
};

/// The rows, and what they say about themselves.
pub(crate) struct Cover {
    pub(crate) rows: Vec<[usize; AXES]>,
    /// Combinations that stand in some row.
    pub(crate) covered: usize,
    /// Combinations that cannot stand in any.
    pub(crate) left_out: usize,
}

/// How many values are combined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Strength {
    Pairs,
    Triples,
}

/// Which drafts lead to no row.
pub(crate) type Forbidden = fn(&Draft) -> bool;

/// Rows that cover every possible combination; `forbidden` says which drafts lead nowhere.
pub(crate) fn cover(strength: Strength, seed: u64, forbidden: Forbidden) -> Cover {
    let mut open = Open::new(strength, forbidden);
    let left_out = open.left_out;
    let total = open.left;
    let mut chance = Chance(seed | 1);
    let mut rows = Vec::new();
    while let Some(start) = open.first() {
        let candidates = (0..CANDIDATES).filter_map(|_| open.fill(start, forbidden, &mut chance));
        let best = candidates.max_by_key(|row| open.gain(row));
        match best {
            Some(row) => {
                open.take(&row);
                rows.push(row);
            }
            // Each pair of values is allowed, and yet no row has them all.
            None => open.give_up(start),
        }
    }
    Cover {
        rows,
        covered: total - open.given_up,
        left_out: left_out + open.given_up,
    }
}

/// A seeded source of choices.
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound as u64).unwrap()
    }
}

/// The combinations that no row has yet.
struct Open {
    strength: Strength,
    /// By the numbers of the values, the lowest first.
    is_open: Vec<bool>,
    left: usize,
    left_out: usize,
    given_up: usize,
    /// Where to look for the next one.
    from: usize,
}

impl Open {
    fn new(strength: Strength, forbidden: Forbidden) -> Self {
        let places = match strength {
            Strength::Pairs => LEVELS * LEVELS,
            Strength::Triples => LEVELS * LEVELS * LEVELS,
        };
        let mut open = Self {
            strength,
            is_open: vec![false; places],
            left: 0,
            left_out: 0,
            given_up: 0,
            from: 0,
        };
        for place in 0..places {
            let Some(draft) = open.draft(place) else {
                continue;
            };
            if forbidden(&draft) {
                open.left_out += 1;
            } else {
                open.is_open[place] = true;
                open.left += 1;
            }
        }
        open
    }

    /// The combination at a place; none where the place is not one of different axes in their order.
    fn draft(&self, place: usize) -> Option<Draft> {
        let mut values = vec![place / LEVELS % LEVELS, place % LEVELS];
        if self.strength == Strength::Triples {
            values.insert(0, place / LEVELS / LEVELS);
        }
        let mut draft = Draft::default();
        let mut before = None;
        for value in values {
            let (axis, level) = axis_of(value);
            if before.is_some_and(|before| before >= axis) {
                return None;
            }
            before = Some(axis);
            draft.0[axis] = Some(level);
        }
        Some(draft)
    }

    fn first(&mut self) -> Option<Draft> {
        let found = self.is_open[self.from..].iter().position(|open| *open)?;
        self.from += found;
        self.draft(self.from)
    }

    /// A whole row around a draft, each axis given the value that covers most.
    fn fill(
        &self,
        mut draft: Draft,
        forbidden: Forbidden,
        chance: &mut Chance,
    ) -> Option<[usize; AXES]> {
        let mut axes: Vec<usize> = (0..AXES).filter(|axis| draft.0[*axis].is_none()).collect();
        while !axes.is_empty() {
            let axis = axes.swap_remove(chance.below(axes.len()));
            let turn = chance.below(Cell::LEVELS[axis]);
            let mut best = None;
            for level in 0..Cell::LEVELS[axis] {
                let level = (level + turn) % Cell::LEVELS[axis];
                draft.0[axis] = Some(level);
                if forbidden(&draft) {
                    continue;
                }
                let gain = self.gain_of(&draft, axis);
                if best.is_none_or(|(most, _)| gain > most) {
                    best = Some((gain, level));
                }
            }
            draft.0[axis] = Some(best?.1);
        }
        Some(draft.0.map(|level| level.unwrap()))
    }

    /// How many open combinations of this axis with decided ones there are.
    fn gain_of(&self, draft: &Draft, axis: usize) -> usize {
        let decided: Vec<usize> = (0..AXES).filter(|axis| draft.0[*axis].is_some()).collect();
        let mut gain = 0;
        self.each_place(draft, &decided, |place, axes| {
            gain += usize::from(axes.contains(&axis) && self.is_open[place]);
        });
        gain
    }

    fn gain(&self, row: &[usize; AXES]) -> usize {
        let mut gain = 0;
        self.each(row, |place| gain += usize::from(self.is_open[place]));
        gain
    }

    fn take(&mut self, row: &[usize; AXES]) {
        let mut places = Vec::new();
        self.each(row, |place| places.push(place));
        for place in places {
            self.left -= usize::from(self.is_open[place]);
            self.is_open[place] = false;
        }
    }

    fn give_up(&mut self, start: Draft) {
        debug_assert!(
            self.draft(self.from)
                .is_some_and(|draft| draft.0 == start.0)
        );
        self.is_open[self.from] = false;
        self.left -= 1;
        self.given_up += 1;
    }

    fn each(&self, row: &[usize; AXES], visit: impl FnMut(usize)) {
        let axes: Vec<usize> = (0..AXES).collect();
        let mut visit = visit;
        self.each_place(&Draft(row.map(Some)), &axes, |place, _| visit(place));
    }

    fn each_place(&self, draft: &Draft, axes: &[usize], mut visit: impl FnMut(usize, &[usize])) {
        let value = |axis: usize| value_of(axis, draft.0[axis].unwrap_or(0));
        for (at, a) in axes.iter().enumerate() {
            for (next, b) in axes.iter().enumerate().skip(at + 1) {
                let pair = value(*a) * LEVELS + value(*b);
                match self.strength {
                    Strength::Pairs => visit(pair, &[*a, *b]),
                    Strength::Triples => {
                        for c in &axes[next + 1..] {
                            visit(pair * LEVELS + value(*c), &[*a, *b, *c]);
                        }
                    }
                }
            }
        }
    }
}

fn value_of(axis: usize, level: usize) -> usize {
    Cell::LEVELS[..axis].iter().sum::<usize>() + level
}

fn axis_of(mut value: usize) -> (usize, usize) {
    for (axis, levels) in Cell::LEVELS.iter().enumerate() {
        if value < *levels {
            return (axis, value);
        }
        value -= levels;
    }
    unreachable!("a value of no axis")
}

/// Counted anew, without anything of the search: which combinations of `width` values no row has.
#[cfg(test)]
fn missing(rows: &[[usize; AXES]], width: u32, forbidden: Forbidden) -> Vec<Draft> {
    let mut missing = Vec::new();
    for mask in (0_u32..1 << AXES).filter(|mask| mask.count_ones() == width) {
        let axes: Vec<usize> = (0..AXES).filter(|axis| mask >> axis & 1 == 1).collect();
        let count: usize = axes.iter().map(|axis| Cell::LEVELS[*axis]).product();
        let mut seen = vec![false; count];
        let number = |level: &dyn Fn(usize) -> usize| {
            axes.iter().fold(0, |number, axis| {
                number * Cell::LEVELS[*axis] + level(*axis)
            })
        };
        for row in rows {
            seen[number(&|axis| row[axis])] = true;
        }
        for (mut rest, _) in seen.iter().enumerate().filter(|(_, seen)| !**seen) {
            let mut draft = Draft::default();
            for axis in axes.iter().rev() {
                draft.0[*axis] = Some(rest % Cell::LEVELS[*axis]);
                rest /= Cell::LEVELS[*axis];
            }
            if !forbidden(&draft) {
                missing.push(draft);
            }
        }
    }
    missing
}

#[test]
fn every_possible_pair_stands_in_a_row_and_no_impossible_one() {
    for forbidden in [super::one_side, super::both_sides] {
        let found = cover(Strength::Pairs, 7, forbidden);
        let missing = missing(&found.rows, 2, forbidden);
        assert!(missing.is_empty(), "{} of them: {missing:?}", missing.len());
        assert!(
            found
                .rows
                .iter()
                .all(|row| !forbidden(&Draft(row.map(Some))))
        );
        assert!(found.covered > 1500, "{} pairs", found.covered);
        // Not far from the least there can be: each backend's manner with each verb.
        assert!(found.rows.len() < 500, "{} rows", found.rows.len());
        let again = cover(Strength::Pairs, 7, forbidden);
        assert_eq!(found.rows, again.rows);
    }
}

#[test]
fn a_row_that_is_left_out_is_missed() {
    let mut found = cover(Strength::Pairs, 7, super::one_side);
    found.rows.pop();
    assert!(!missing(&found.rows, 2, super::one_side).is_empty());
}

#[test]
fn every_possible_triple_stands_in_a_row_too() {
    let found = cover(Strength::Triples, 7, super::both_sides);
    let missing = missing(&found.rows, 3, super::both_sides);
    assert!(missing.is_empty(), "{} of them", missing.len());
    assert!(missing_of_pairs_is_empty(&found.rows));
}

#[cfg(test)]
fn missing_of_pairs_is_empty(rows: &[[usize; AXES]]) -> bool {
    missing(rows, 2, super::both_sides).is_empty()
}
