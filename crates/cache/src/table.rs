//! A map that forgets: rows have an end, and it holds so many and so much.

use std::collections::HashMap;

/// Rows by key, each good until a moment of the caller's clock.
///
/// When there are too many, those that have ended go, and those that would end soonest, a tenth of all
/// at least: they are worth the least. A limit ends when what is owed is worked off, so a flood of new
/// keys pushes out those that owe little.
#[derive(Debug)]
pub(crate) struct Table<V> {
    rows: HashMap<String, Row<V>>,
    weight: usize,
    most_rows: usize,
    most_weight: usize,
}

#[derive(Debug)]
struct Row<V> {
    value: V,
    until: u64,
    weight: usize,
}

impl<V> Table<V> {
    /// Makes a table of at most `most_rows`, which together weigh at most `most_weight`.
    pub(crate) fn new(most_rows: usize, most_weight: usize) -> Self {
        Self { rows: HashMap::new(), weight: 0, most_rows, most_weight }
    }

    /// Returns what is kept under a key.
    pub(crate) fn get(&self, key: &str, now: u64) -> Option<&V> {
        self.rows.get(key).filter(|row| row.until > now).map(|row| &row.value)
    }

    /// Keeps something until a moment.
    pub(crate) fn put(&mut self, key: &str, value: V, until: u64, weight: usize, now: u64) {
        self.remove(key);
        if until <= now || weight > self.most_weight {
            return;
        }
        while self.rows.len() >= self.most_rows || self.weight + weight > self.most_weight {
            self.make_room(now);
        }
        self.weight += weight;
        self.rows.insert(key.to_owned(), Row { value, until, weight });
    }

    /// Forgets something.
    pub(crate) fn remove(&mut self, key: &str) -> Option<V> {
        let row = self.rows.remove(key)?;
        self.weight -= row.weight;
        Some(row.value)
    }

    /// Removes at least a tenth, so that it need not be done for every row.
    fn make_room(&mut self, now: u64) {
        let mut ends: Vec<u64> = self.rows.values().map(|row| row.until).collect();
        let tenth = ends.len() / 10;
        if tenth < ends.len() {
            let (_, end, _) = ends.select_nth_unstable(tenth);
            let end = now.max(*end);
            self.rows.retain(|_, row| row.until > end);
        }
        self.weight = self.rows.values().map(|row| row.weight).sum();
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    proptest! {
        #[test]
        fn it_never_holds_more_than_it_may_and_never_what_has_ended(
            most_rows in 1_usize..20,
            most_weight in 1_usize..100,
            steps in vec((0_u8..40, 0_u64..30, 0_usize..40, 0_u64..5), 1..200),
        ) {
            let (mut table, mut now) = (Table::new(most_rows, most_weight), 0);
            for (key, life, weight, gap) in steps {
                now += gap;
                let key = key.to_string();
                table.put(&key, weight, now + life, weight, now);
                prop_assert!(table.rows.len() <= most_rows && table.weight <= most_weight);
                prop_assert_eq!(table.weight, table.rows.values().map(|row| row.weight).sum::<usize>());
                prop_assert_eq!(table.get(&key, now).is_some(), life > 0 && weight <= most_weight);
                prop_assert!(table.get(&key, now + life).is_none());
            }
        }
    }

    #[test]
    fn what_ends_soonest_makes_room() {
        let mut table = Table::new(10, 100);
        table.put("long", 0, 1_000, 1, 0);
        for i in 0..100 {
            table.put(&i.to_string(), i, 100 + i, 1, 0);
        }
        assert!(table.get("long", 0).is_some());
        assert!(table.get("0", 0).is_none());
    }
}
