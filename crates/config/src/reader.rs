//! Reading variables, and collecting what is wrong with them.

use std::{collections::BTreeMap, fmt, fs, str::FromStr, time::Duration};

use crate::{Secret, SecretSource};

/// A variable that a program reads.
#[derive(Debug)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// Other names that mean the same, read when the first is not set.
    pub aliases: &'static [&'static str],
    /// What holds when it is not set.
    pub default: Option<&'static str>,
    /// Whether it is a secret, which may also come from the file that `<NAME>_FILE` names.
    pub secret: bool,
    /// What it does, and its unit.
    pub help: &'static str,
}

/// Something wrong with one variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Which.
    pub variable: &'static str,
    /// What was expected.
    pub message: String,
}

/// Everything that is wrong with the settings.
#[derive(Debug, thiserror::Error)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} setting(s) cannot be used:", self.0.len())?;
        for Problem { variable, message } in &self.0 {
            write!(f, "\n  {variable} {message}")?;
        }
        Ok(())
    }
}

/// Names with these beginnings are ours; one that no program reads is probably misspelt.
const OURS: &[&str] = &["BACKUP_", "BROWNIE_", "DB_", "METADATA_"];

/// Reads variables of the process and of `.env`, the process first.
#[derive(Debug)]
pub struct Reader {
    pub(crate) values: BTreeMap<String, String>,
    problems: Vec<Problem>,
    effective: Vec<(&'static str, String)>,
}

impl Reader {
    /// Reads the environment of this process, and below it the file `.env` in the working
    /// directory if there is one.
    pub fn from_process() -> Self {
        let mut values: BTreeMap<String, String> =
            dotenvy::dotenv_iter().map(|file| file.flatten().collect()).unwrap_or_default();
        values.extend(std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        }));
        Self::from_values(values)
    }

    /// Reads these values, for tests.
    pub fn from_values(values: BTreeMap<String, String>) -> Self {
        Self { values, problems: Vec::new(), effective: Vec::new() }
    }

    /// Returns a variable's text: its own, an alias's, or the default. An empty one is not set.
    pub fn text(&mut self, variable: &'static Variable) -> Option<String> {
        let set = self.lookup(variable);
        let value = set.or_else(|| variable.default.map(str::to_owned));
        let shown = match (&value, variable.secret) {
            (Some(_), true) => "[secret]".to_owned(),
            (Some(text), false) => text.clone(),
            (None, _) => String::new(),
        };
        self.effective.push((variable.name, shown));
        value
    }

    /// Returns what somebody set a variable to, or for a secret from which file it is read.
    pub(crate) fn set(&self, variable: &Variable) -> Option<String> {
        let file = || self.values.get(&format!("{}_FILE", variable.name)).cloned();
        self.lookup(variable).or_else(|| variable.secret.then(file).flatten())
    }

    /// Tells whether a name has a value.
    pub(crate) fn is_set(&self, name: &str) -> bool {
        self.values.get(name).is_some_and(|value| !value.is_empty())
    }

    /// Lets what one variable is set to stand for another, in place of its own value.
    pub(crate) fn stand_in(&mut self, old: &Variable, new: &str) {
        for end in ["", "_FILE"] {
            self.values.remove(&format!("{new}{end}"));
            if let Some(value) = self.values.get(&format!("{}{end}", old.name)).cloned() {
                self.values.insert(format!("{new}{end}"), value);
            }
        }
    }

    fn lookup(&self, variable: &Variable) -> Option<String> {
        std::iter::once(&variable.name)
            .chain(variable.aliases)
            .find_map(|name| self.values.get(*name).filter(|value| !value.is_empty()).cloned())
    }

    /// Returns a variable read as `T`. One that cannot be read is a problem.
    pub fn parse<T: FromStr>(&mut self, variable: &'static Variable, expected: &str) -> Option<T> {
        let text = self.text(variable)?;
        match text.parse() {
            Ok(value) => Some(value),
            Err(_) => {
                self.problem(variable, format!("must be {expected}, not {text:?}"));
                None
            }
        }
    }

    /// Returns a variable that counts seconds, fractions allowed.
    pub fn seconds(&mut self, variable: &'static Variable) -> Option<Duration> {
        let seconds = self.parse::<f64>(variable, "a number of seconds")?;
        match Duration::try_from_secs_f64(seconds) {
            Ok(duration) if !duration.is_zero() => Some(duration),
            _ => {
                self.problem(variable, format!("must be more than 0 seconds, not {seconds}"));
                None
            }
        }
    }

    /// Returns a secret, from the variable or from the file that `<NAME>_FILE` names.
    pub fn secret(&mut self, variable: &'static Variable) -> Option<Secret> {
        let path = match self.secret_source(variable)? {
            SecretSource::Text(secret) => return Some(secret),
            SecretSource::File(path) => path,
        };
        match fs::read_to_string(&path) {
            Ok(text) => Some(Secret::new(text.trim_end_matches(['\r', '\n']))),
            Err(error) => {
                let message = format!("cannot be read from {}: {error}", path.display());
                self.problem(variable, message);
                None
            }
        }
    }

    /// Returns where a secret is, for one that may be replaced while the program runs.
    pub fn secret_source(&mut self, variable: &'static Variable) -> Option<SecretSource> {
        let file_variable = format!("{}_FILE", variable.name);
        let Some(path) = self.values.get(&file_variable).filter(|path| !path.is_empty()).cloned()
        else {
            return self.text(variable).map(|text| SecretSource::Text(Secret::new(text)));
        };
        if self.lookup(variable).is_some() {
            self.problem(variable, format!("is set twice: here and by {file_variable}"));
            return None;
        }
        self.effective.push((variable.name, format!("[secret, from {path}]")));
        Some(SecretSource::File(path.into()))
    }

    /// Notes that something is wrong with a variable.
    pub fn problem(&mut self, variable: &'static Variable, message: impl Into<String>) {
        self.problems.push(Problem { variable: variable.name, message: message.into() });
    }

    /// Returns what each variable amounts to, secrets hidden, in the order they were read.
    pub fn effective(&self) -> &[(&'static str, String)] {
        &self.effective
    }

    /// Returns the variables that look like ours and that nothing reads.
    pub fn unknown(&self) -> Vec<String> {
        let known = crate::all_variables();
        self.values
            .keys()
            .filter(|name| OURS.iter().any(|ours| name.starts_with(ours)))
            .filter(|name| {
                let bare = name.strip_suffix("_FILE").unwrap_or(name);
                !known.iter().any(|variable| {
                    variable.name == name.as_str()
                        || variable.aliases.contains(&name.as_str())
                        || (variable.secret && variable.name == bare)
                })
            })
            .cloned()
            .collect()
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// All problems together, if there are any.
    pub fn finish(self) -> Result<(), Problems> {
        if self.problems.is_empty() { Ok(()) } else { Err(Problems(self.problems)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PORT: Variable = Variable {
        name: "METADATA_PORT",
        aliases: &["PORT"],
        default: Some("8000"),
        secret: false,
        help: "",
    };
    const KEY: Variable = Variable {
        name: "METADATA_JWT_SECRET",
        aliases: &[],
        default: None,
        secret: true,
        help: "",
    };

    fn reader(values: &[(&str, &str)]) -> Reader {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Reader::from_values(values.iter().map(own).collect())
    }

    #[test]
    fn an_alias_counts_when_the_name_is_not_set() {
        assert_eq!(reader(&[("PORT", "1")]).parse::<u16>(&PORT, "a port"), Some(1));
        assert_eq!(
            reader(&[("PORT", "1"), ("METADATA_PORT", "2")]).parse(&PORT, "a port"),
            Some(2_u16)
        );
        assert_eq!(reader(&[("METADATA_PORT", "")]).parse(&PORT, "a port"), Some(8000_u16));
    }

    #[test]
    fn all_problems_are_reported_at_once() {
        let mut reader =
            reader(&[("METADATA_PORT", "x"), ("METADATA_JWT_SECRET_FILE", "/no/such/file")]);
        let _ = reader.parse::<u16>(&PORT, "a port");
        let _ = reader.secret(&KEY);
        let problems = reader.finish().unwrap_err();
        let text = problems.to_string();
        assert!(text.contains("METADATA_PORT must be a port, not \"x\""), "{text}");
        assert!(text.contains("METADATA_JWT_SECRET cannot be read from /no/such/file"), "{text}");
    }

    #[test]
    fn a_secret_is_never_shown() {
        let mut reader = reader(&[("METADATA_JWT_SECRET", "hunter2")]);
        let secret = reader.secret(&KEY).unwrap();
        assert_eq!(secret.expose(), "hunter2");
        assert!(!format!("{secret:?} {:?}", reader.effective()).contains("hunter2"));
    }

    #[test]
    fn a_misspelt_name_is_noticed() {
        let reader = reader(&[("DB_HSOT", "x"), ("DB_HOST", "y"), ("HOME", "z")]);
        assert_eq!(reader.unknown(), ["DB_HSOT"]);
    }
}
