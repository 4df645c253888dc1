//! What a search finds, told in time linear in the text, whatever the text looks like.
//!
//! PostgreSQL's text-search parser is not: over 64 KiB of `@a1@a1…` it takes minutes or fails, and `ILIKE`
//! takes the length of the text times that of the pattern. No index could serve a search either: an
//! operator that is not leakproof cannot use one past row-level security (PostgreSQL manual, section 5.9).
//! So rows are read in the order of their list, and judged here.

use std::collections::HashMap;

use unicode_segmentation::UnicodeSegmentation;

use crate::SearchText;

/// What is looked for: words, a part of the text, or both.
#[derive(Debug, Clone)]
pub struct Search {
    words: Option<WordQuery>,
    part: Option<Part>,
}

impl Search {
    /// Looks for texts that have `words` (see [`WordQuery`]) and `part`, in any case. None when neither is
    /// given.
    pub fn new(words: Option<&SearchText>, part: Option<&SearchText>) -> Option<Self> {
        if words.is_none() && part.is_none() {
            return None;
        }
        Some(Self {
            words: words.map(|text| WordQuery::read(text.as_str())),
            part: part.map(|text| Part::new(text.as_str())),
        })
    }

    /// Tells whether the texts of a thing are looked for. Words may be in any of them, the part is in one.
    pub fn finds(&self, texts: &[&str]) -> bool {
        let part = |part: &Part| texts.iter().any(|text| part.is_in(text));
        let words = |words: &WordQuery| words.finds(texts);
        self.part.as_ref().is_none_or(part) && self.words.as_ref().is_none_or(words)
    }
}

/// A part of a text, in any case.
#[derive(Debug, Clone)]
struct Part(memchr::memmem::Finder<'static>);

impl Part {
    fn new(text: &str) -> Self {
        Self(memchr::memmem::Finder::new(&lower(text)).into_owned())
    }

    fn is_in(&self, text: &str) -> bool {
        self.0.find(lower(text).as_bytes()).is_some()
    }
}

fn lower(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    text.chars().flat_map(char::to_lowercase).collect()
}

/// Words as a search engine takes them: all of them, unless `or` stands between; `-` before one that must
/// not be there; quotes around those that follow each other. Nothing that is typed is an error.
///
/// Words are those of Unicode (UAX 29), and end at any punctuation: `db-1` is `db` followed by `1`. Where a
/// script has no spaces, as Chinese, each character counts as a word, and those typed together must
/// follow each other.
#[derive(Debug, Clone)]
struct WordQuery {
    /// The numbers of the words that matter.
    known: HashMap<String, u16>,
    /// One of these must hold, all of it.
    any: Vec<Vec<Term>>,
}

/// Words that follow each other, and whether they must.
#[derive(Debug, Clone)]
struct Term {
    phrase: Vec<u16>,
    wanted: bool,
}

impl WordQuery {
    /// No word that anybody looks for.
    const OTHER: u16 = 0;
    /// A word is known by its first characters: as many as somebody may type.
    const LONGEST: usize = SearchText::MAX;

    fn read(text: &str) -> Self {
        let mut query = Self { known: HashMap::new(), any: vec![Vec::new()] };
        let mut rest = text.trim_start();
        while !rest.is_empty() {
            let negated = rest.strip_prefix('-');
            let wanted = negated.is_none();
            let from = negated.unwrap_or(rest);
            let (term, after) = match from.strip_prefix('"') {
                Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
                None => from.split_at(from.find([' ', '\t', '"']).unwrap_or(from.len())),
            };
            if wanted && !from.starts_with('"') && term.eq_ignore_ascii_case("or") {
                query.any.push(Vec::new());
            } else {
                query.add(term, wanted);
            }
            rest = after.trim_start();
        }
        query.any.retain(|terms| !terms.is_empty());
        query
    }

    fn add(&mut self, term: &str, wanted: bool) {
        let mut phrase = Vec::new();
        each_word(term, |word| {
            let next = u16::try_from(self.known.len() + 1).unwrap_or(u16::MAX);
            phrase.push(*self.known.entry(word.to_owned()).or_insert(next));
        });
        if let Some(terms) = self.any.last_mut()
            && !phrase.is_empty()
        {
            terms.push(Term { phrase, wanted });
        }
    }

    fn finds(&self, texts: &[&str]) -> bool {
        let mut numbers = Vec::new();
        for text in texts {
            each_word(text, |word| {
                numbers.push(self.known.get(word).copied().unwrap_or(Self::OTHER));
            });
        }
        let has = |phrase: &[u16]| numbers.windows(phrase.len()).any(|found| found == phrase);
        self.any.iter().any(|terms| terms.iter().all(|term| has(&term.phrase) == term.wanted))
    }
}

/// Hands over the words of a text, in lower case.
fn each_word(text: &str, mut hand: impl FnMut(&str)) {
    let mut word = String::new();
    for found in text.unicode_words() {
        // What UAX 29 keeps together although it has punctuation in it: `example.com`, `can't`, `a_b`.
        for part in found.split(|c: char| c.is_ascii_punctuation() || matches!(c, '’' | '·' | '‧'))
        {
            word.clear();
            word.extend(part.chars().take(WordQuery::LONGEST).flat_map(char::to_lowercase));
            if !word.is_empty() {
                hand(&word);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use proptest::prelude::*;

    use super::*;

    fn text(text: &str) -> SearchText {
        text.parse().unwrap()
    }

    fn words(query: &str, texts: &[&str]) -> bool {
        Search::new(Some(&text(query)), None).unwrap().finds(texts)
    }

    fn part(query: &str, texts: &[&str]) -> bool {
        Search::new(None, Some(&text(query))).unwrap().finds(texts)
    }

    #[test]
    fn words_are_found_as_a_search_engine_does() {
        let texts = ["Primary database is slow", "Writes to db-1.example.com can't wait: ENOSPC"];
        for found in [
            "DATABASE",
            "slow primary",
            "database -replica",
            "replica or database",
            "replica OR \"is slow\"",
            "\"slow writes\"",
            "db-1",
            "example.com",
            "example",
            "can't",
            "enospc",
            "-replica",
            "\"is slow",
            "or or database",
        ] {
            assert!(words(found, &texts), "{found}");
        }
        for not in [
            "data",
            "database -slow",
            "\"slow is\"",
            "replica or lag",
            "-database",
            "-\"is slow\"",
            "-",
            "---",
            "\"",
            "or",
            "db-2",
        ] {
            assert!(!words(not, &texts), "{not}");
        }
    }

    #[test]
    fn other_scripts_have_words_too() {
        assert!(words("磁盘", &["主数据库磁盘已满", ""]));
        assert!(!words("盘磁", &["主数据库磁盘已满", ""]));
        assert!(words("データベース", &["データベース障害", ""]));
        assert!(words("база", &["Основная БАЗА данных", ""]));
        assert!(words("straße", &["Die STRASSE ist straße", ""]));
        assert!(words("서버", &["주 서버 다운", ""]));
        assert!(words("קריטית", &["תקלה קריטית בשרת", ""]));
    }

    #[test]
    fn a_part_is_found_in_any_case_and_means_itself() {
        assert!(part("ATAB", &["database", ""]));
        assert!(part("100%", &["", "100% of /var"]));
        assert!(!part("1_0", &["100", ""]));
        assert!(!part("ab", &["a", "b"]), "a part is of one text");
    }

    #[test]
    fn a_word_that_is_too_long_to_be_typed_is_found_by_its_beginning() {
        let long = format!("key {}", "a1".repeat(32_000));
        assert!(words(&"a1".repeat(100), &[&long]));
        assert!(!words(&"a1".repeat(99), &[&long]));
    }

    /// Texts over which PostgreSQL takes seconds, and patterns over which `ILIKE` does: each is judged in
    /// time that does not depend on its shape. The bound is ten times what the slowest takes unoptimized.
    #[test]
    fn no_text_takes_longer_than_another() {
        let shapes = [
            "@a1", "a@1", "~/", "a_", "aa_", "a", "-", "\"", "a b ", "\u{301}", "字", "'.", "ﷺ",
            "İ",
        ];
        let patterns = [
            "a".repeat(199) + "b",
            "-".repeat(200),
            "\"".repeat(200),
            "a ".repeat(99) + "b",
            "-\"".repeat(100),
        ];
        for shape in shapes {
            let long = shape.repeat(65_536 / shape.chars().count());
            for pattern in &patterns {
                let Ok(pattern) = pattern.parse::<SearchText>() else { continue };
                let search = Search::new(Some(&pattern), Some(&pattern)).unwrap();
                let began = Instant::now();
                search.finds(&["title", &long]);
                assert!(
                    began.elapsed() < Duration::from_secs(1),
                    "{shape}, {pattern:?}: {:?}",
                    began.elapsed()
                );
            }
        }
    }

    proptest! {
        #[test]
        fn nothing_that_is_typed_is_an_error(query in "[ -~]{1,60}", text in any::<String>()) {
            if let Ok(query) = query.parse::<SearchText>() {
                let _ = Search::new(Some(&query), Some(&query)).unwrap().finds(&[&text]);
            }
        }

        #[test]
        fn each_word_of_a_text_finds_it(some in "[a-z]{1,8}( [a-z]{1,8}){0,9}") {
            for word in some.split(' ').filter(|word| *word != "or") {
                prop_assert!(words(word, &[&some]), "{}", word);
            }
        }
    }
}
