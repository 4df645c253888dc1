//! What somebody who looks into settings wants to know besides their values.

use std::fs;

use crate::{Reader, Secret, Variable};

/// A name that long, and one letter away from one of ours, was hardly meant for another program.
const LONG: usize = 6;

impl Reader {
    /// Returns the variables that nothing reads and that look as if something should: with one of our
    /// beginnings, or one letter away from one of ours. With each comes what may have been meant.
    pub fn misspelt(&self) -> Vec<(String, Option<&'static str>)> {
        let known = crate::all_variables();
        let is_known = |name: &str| {
            let bare = name.strip_suffix("_FILE").unwrap_or(name);
            known.iter().any(|variable| {
                names(variable).any(|known| known == name)
                    || (variable.secret && variable.name == bare)
            })
        };
        let nearest = |name: &str| {
            let distances = known
                .iter()
                .map(|variable| (strsim::osa_distance(name, variable.name), variable.name));
            distances.min_by_key(|(distance, _)| *distance)
        };
        let unknown = self.unknown();
        let mut found = Vec::new();
        for name in self.values.keys().filter(|name| !is_known(name)) {
            match nearest(name) {
                Some((1, meant)) if name.len() >= LONG => found.push((name.clone(), Some(meant))),
                Some((2..=3, meant)) if unknown.contains(name) => {
                    found.push((name.clone(), Some(meant)));
                }
                _ if unknown.contains(name) => found.push((name.clone(), None)),
                _ => {}
            }
        }
        found
    }

    /// Returns the older names that are set, each with the name of today.
    pub fn old_names(&self) -> Vec<(&'static str, &'static str)> {
        let is_set = |name: &str| self.values.get(name).is_some_and(|value| !value.is_empty());
        let all = crate::all_variables()
            .into_iter()
            .flat_map(|variable| variable.aliases.iter().map(|alias| (*alias, variable.name)));
        all.filter(|(alias, _)| is_set(alias)).collect()
    }

    /// Returns everything that must not be shown, whoever reads it: the values of all secret
    /// variables, those in files, and the passwords in URLs.
    pub fn secrets(&self) -> Vec<Secret> {
        let mut secrets = Vec::new();
        for variable in crate::all_variables().into_iter().filter(|variable| variable.secret) {
            let values = names(variable).filter_map(|name| self.values.get(name)).cloned();
            secrets.extend(values);
            let path = self.values.get(&format!("{}_FILE", variable.name));
            let text = path.and_then(|path| fs::read_to_string(path).ok());
            secrets.extend(text.map(|text| text.trim_end_matches(['\r', '\n']).to_owned()));
        }
        let urls = secrets.iter().filter_map(|text| url::Url::parse(text).ok());
        let passwords: Vec<String> = urls
            .filter_map(|url| url.password().map(str::to_owned))
            .flat_map(|password| {
                let plain = percent_encoding::percent_decode_str(&password).decode_utf8_lossy();
                [plain.into_owned(), password]
            })
            .collect();
        secrets.extend(passwords);
        secrets.retain(|text| !text.is_empty());
        secrets.into_iter().map(Secret::new).collect()
    }
}

fn names(variable: &Variable) -> impl Iterator<Item = &'static str> {
    std::iter::once(variable.name).chain(variable.aliases.iter().copied())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(values: &[(&str, &str)]) -> Reader {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Reader::from_values(values.iter().map(own).collect())
    }

    #[test]
    fn what_was_meant_is_told() {
        let reader = reader(&[
            ("DB_HSOT", "x"),
            ("DATABASE_ULR", "x"),
            ("REDIS_URI", "x"),
            ("METADATA_COLOUR_OF_THE_PAGE", "x"),
            ("METADATA_JWT_SECRET_FILE", "x"),
            ("METADATA_POSTGRES_DSN", "x"),
            ("HOME", "x"),
            ("PATH", "x"),
            ("USER", "x"),
        ]);
        assert_eq!(
            reader.misspelt(),
            [
                ("DATABASE_ULR".to_owned(), Some("DATABASE_URL")),
                ("DB_HSOT".to_owned(), Some("DB_HOST")),
                ("METADATA_COLOUR_OF_THE_PAGE".to_owned(), None),
                ("REDIS_URI".to_owned(), Some("REDIS_URL")),
            ]
        );
    }

    #[test]
    fn an_old_name_is_told_with_that_of_today() {
        let old = reader(&[("METADATA_POSTGRES_DSN", "x"), ("LOCAL_CERT_DIR", "")]).old_names();
        assert_eq!(old, [("METADATA_POSTGRES_DSN", "DATABASE_URL")]);
    }

    #[test]
    fn a_password_in_a_url_is_a_secret_however_it_is_written() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "from a file\n").unwrap();
        let secrets = reader(&[
            ("DATABASE_URL", "postgres://u:p%40ss@h/d"),
            ("METADATA_JWT_SECRET_FILE", file.path().to_str().unwrap()),
            ("DB_HOST", "h"),
        ])
        .secrets();
        let texts: Vec<&str> = secrets.iter().map(Secret::expose).collect();
        for expected in ["postgres://u:p%40ss@h/d", "p%40ss", "p@ss", "from a file"] {
            assert!(texts.contains(&expected), "{texts:?}");
        }
        assert!(!texts.contains(&"h"), "{texts:?}");
    }
}
