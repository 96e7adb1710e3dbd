//! The word that was probably meant.

/// The known word nearest to `word`, if it is near enough to be a slip of the fingers: one change in three letters.
pub(super) fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let reach = word.chars().count().div_ceil(3);
    known
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= reach)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Levenshtein's distance: letters put in, left out, or exchanged; case and `-` for `_` are not counted.
fn distance(left: &str, right: &str) -> usize {
    let fold = |letter: char| match letter.to_ascii_lowercase() {
        '-' => '_',
        other => other,
    };
    let right: Vec<char> = right.chars().map(fold).collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (index, letter) in left.chars().map(fold).enumerate() {
        let mut diagonal = row[0];
        row[0] = index + 1;
        for (column, other) in right.iter().enumerate() {
            let exchanged = diagonal + usize::from(letter != *other);
            diagonal = row[column + 1];
            row[column + 1] = exchanged.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_found_and_strangers_are_not() {
        let known = || ["passive_ports", "pool", "tls"].into_iter();
        assert_eq!(nearest("passive-port", known()), Some("passive_ports"));
        assert_eq!(nearest("Pools", known()), Some("pool"));
        assert_eq!(nearest("motd", known()), None);
        assert_eq!(nearest("", known()), None);
    }
}
