//! The settings themselves.

use brownie_config::{Reader, Secret};

use crate::Finding;

const NAME: &str = "settings";

/// What a look at the settings brought.
#[derive(Debug)]
pub struct Examined {
    /// What was found.
    pub(crate) finding: Finding,
    /// What no report may show.
    pub(crate) secrets: Vec<Secret>,
}

impl Examined {
    /// Tells whether the settings can be used. If not, nothing else is worth looking at.
    pub fn are_good(&self) -> bool {
        self.finding.state() != crate::State::Failed
    }
}

/// Judges settings when all of them were read: what is wrong with them, what looks misspelt, which
/// older names are in use.
pub fn settings(reader: Reader) -> Examined {
    let secrets = reader.secrets();
    let count = reader
        .effective()
        .iter()
        .map(|(name, _)| name)
        .collect::<std::collections::BTreeSet<_>>()
        .len();
    let (misspelt, old) = (reader.misspelt(), reader.old_names());
    if let Err(problems) = reader.finish() {
        let lines: Vec<String> = problems
            .0
            .iter()
            .map(|problem| format!("{} {}", problem.variable, problem.message))
            .collect();
        let finding = Finding::failed(
            NAME,
            lines.join("\n"),
            "correct them, in the environment or in .env; env.example says what each means. Nothing else was looked at",
        );
        return Examined { finding, secrets };
    }
    let mut found = Vec::new();
    let mut remedies = Vec::new();
    for (name, meant) in misspelt {
        found.push(format!("nothing reads {name}"));
        remedies.push(match meant {
            Some(meant) => format!("rename {name} to {meant}, if that is meant"),
            None => format!("remove {name}, or see env.example for what is meant"),
        });
    }
    for (old, name) in old {
        found.push(format!("{old} is an older name of {name}"));
        remedies.push(format!("rename {old} to {name}"));
    }
    let finding = if found.is_empty() {
        Finding::ok(NAME, format!("{count} are read, and can be used"))
    } else {
        Finding::warning(NAME, found.join("\n"), remedies.join("; "))
    };
    Examined { finding, secrets }
}

#[cfg(test)]
mod tests {
    use brownie_config::DatabaseSettings;

    use super::*;
    use crate::State;

    fn examine(values: &[(&str, &str)]) -> Examined {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let mut reader = Reader::from_values(values.iter().map(own).collect());
        let _ = DatabaseSettings::read(&mut reader, "brownie-server");
        settings(reader)
    }

    #[test]
    fn what_cannot_be_used_has_failed() {
        let examined = examine(&[("DATABASE_URL", "postgres://u@h/d"), ("DB_POOL_SIZE", "many")]);
        assert!(!examined.are_good());
        assert!(examined.finding.found().contains("DB_POOL_SIZE must be a whole number"));
    }

    #[test]
    fn what_is_odd_is_a_warning_with_the_name_that_is_meant() {
        let examined = examine(&[("METADATA_POSTGRES_DSN", "postgres://u@h/d"), ("DB_HSOT", "x")]);
        assert!(examined.are_good());
        assert_eq!(examined.finding.state(), State::Warning);
        let remedy = examined.finding.remedy().unwrap();
        assert!(remedy.contains("rename DB_HSOT to DB_HOST"), "{remedy}");
        assert!(remedy.contains("rename METADATA_POSTGRES_DSN to DATABASE_URL"), "{remedy}");
        assert_eq!(examine(&[("DB_HOST", "h")]).finding.state(), State::Ok);
    }
}
