//! Variables of Brownie 0.1's backup tool. What it meant by them is done, or refused by name.

use crate::{DatabaseSettings, Reader, Variable};

const BACKUP_DB_HOST: Variable = Variable {
    name: "BACKUP_DB_HOST",
    aliases: &[],
    default: None,
    secret: false,
    help: "Brownie 0.1's name for DB_HOST, for brownie-backup alone.",
};
const BACKUP_DB_PORT: Variable = Variable {
    name: "BACKUP_DB_PORT",
    aliases: &[],
    default: None,
    secret: false,
    help: "Brownie 0.1's name for DB_PORT, for brownie-backup alone.",
};
const BACKUP_DB_NAME: Variable = Variable {
    name: "BACKUP_DB_NAME",
    aliases: &[],
    default: None,
    secret: false,
    help: "Brownie 0.1's name for DB_NAME, for brownie-backup alone.",
};
const BACKUP_DB_USER: Variable = Variable {
    name: "BACKUP_DB_USER",
    aliases: &[],
    default: None,
    secret: false,
    help: "Brownie 0.1's name for DB_USER, for brownie-backup alone.",
};
const BACKUP_DB_PASSWORD: Variable = Variable {
    name: "BACKUP_DB_PASSWORD",
    aliases: &[],
    default: None,
    secret: true,
    help: "Brownie 0.1's name for DB_PASSWORD, for brownie-backup alone.",
};
const BACKUP_DB_SSL_MODE: Variable = Variable {
    name: "BACKUP_DB_SSL_MODE",
    aliases: &[],
    default: None,
    secret: false,
    help: "Brownie 0.1's name for DB_SSL_MODE, for brownie-backup alone.",
};
const BACKUP_COMPRESSION: Variable = Variable {
    name: "BACKUP_COMPRESSION",
    aliases: &[],
    default: None,
    secret: false,
    help: "Of Brownie 0.1. Backups are always compressed: true is taken, false refused.",
};
const BACKUP_ENCRYPTION: Variable = Variable {
    name: "BACKUP_ENCRYPTION",
    aliases: &[],
    default: None,
    secret: false,
    help: "Of Brownie 0.1, which did not encrypt. BACKUP_AGE_RECIPIENTS decides: true without it, and false with it, are refused.",
};

pub(super) static VARIABLES: &[Variable] = &[
    BACKUP_DB_HOST,
    BACKUP_DB_PORT,
    BACKUP_DB_NAME,
    BACKUP_DB_USER,
    BACKUP_DB_PASSWORD,
    BACKUP_DB_SSL_MODE,
    BACKUP_COMPRESSION,
    BACKUP_ENCRYPTION,
];

/// Reads which database, by the names that all programs have, and by those of the predecessor, which
/// come first.
pub(super) fn database(reader: &mut Reader, role: &str) -> DatabaseSettings {
    let is_set = |reader: &Reader, name| reader.is_set(name);
    let url = ["DATABASE_URL", "DATABASE_URL_FILE", "METADATA_POSTGRES_DSN"];
    let url = url.into_iter().find(|name| is_set(reader, name));
    for (old, new) in [
        (&BACKUP_DB_HOST, "DB_HOST"),
        (&BACKUP_DB_PORT, "DB_PORT"),
        (&BACKUP_DB_NAME, "DB_NAME"),
        (&BACKUP_DB_USER, "DB_USER"),
        (&BACKUP_DB_PASSWORD, "DB_PASSWORD"),
        (&BACKUP_DB_SSL_MODE, "DB_SSL_MODE"),
    ] {
        if reader.set(old).is_none() {
            continue;
        }
        match url {
            Some(url) => reader.problem(
                old,
                format!("and {url} both name a database; keep one of them, {url} is enough"),
            ),
            None => reader.stand_in(old, new),
        }
    }
    DatabaseSettings::read(reader, role)
}

/// Refuses what would be done otherwise than it says.
pub(super) fn judge(reader: &mut Reader, is_encrypted: bool) {
    let compress: Option<bool> = reader.parse(&BACKUP_COMPRESSION, "true or false");
    if compress == Some(false) {
        reader.problem(
            &BACKUP_COMPRESSION,
            "cannot be false: backups are always compressed; remove it",
        );
    }
    match (reader.parse(&BACKUP_ENCRYPTION, "true or false"), is_encrypted) {
        (Some(true), false) => reader.problem(
            &BACKUP_ENCRYPTION,
            "is true, and nothing is encrypted without a key: set BACKUP_AGE_RECIPIENTS",
        ),
        (Some(false), true) => reader.problem(
            &BACKUP_ENCRYPTION,
            "is false, and BACKUP_AGE_RECIPIENTS says to whom to encrypt; remove one of them",
        ),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use crate::{BackupSettings, Reader};

    fn read(values: &[(&str, &str)]) -> Result<String, String> {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let mut reader = Reader::from_values(values.iter().map(own).collect());
        let database = BackupSettings::database(&mut reader, "brownie-backup");
        let _ = BackupSettings::read(&mut reader);
        assert!(reader.unknown().is_empty(), "{:?}", reader.unknown());
        let url = database.url.expose().to_owned();
        reader.finish().map(|()| url).map_err(|problems| problems.to_string())
    }

    #[test]
    fn the_predecessors_names_lead_to_the_database() {
        let values = [
            ("BACKUP_DB_HOST", "db"),
            ("BACKUP_DB_PORT", "5433"),
            ("BACKUP_DB_NAME", "meta"),
            ("BACKUP_DB_USER", "u"),
            ("BACKUP_DB_PASSWORD", "p"),
            ("BACKUP_DB_SSL_MODE", "disable"),
            // The service's own, beside them.
            ("DB_HOST", "elsewhere"),
            ("DB_USER", "brownie-server"),
        ];
        assert_eq!(read(&values).unwrap(), "postgres://u:p@db:5433/meta?sslmode=disable");
        let file = std::env::temp_dir().join(format!("brownie-config-{}", std::process::id()));
        std::fs::write(&file, "from a file\n").unwrap();
        let file = file.to_str().unwrap();
        let found = read(&[("BACKUP_DB_HOST", "db"), ("BACKUP_DB_PASSWORD_FILE", file)]);
        std::fs::remove_file(file).unwrap();
        assert!(found.unwrap().contains("from%20a%20file@db"));
    }

    #[test]
    fn what_would_be_done_otherwise_is_refused_by_name() {
        let url = ("DATABASE_URL", "postgres://u@h/x?sslmode=disable");
        let key = ("BACKUP_AGE_RECIPIENTS", "age1x");
        for (values, expected) in [
            (vec![url, ("BACKUP_DB_NAME", "x")], "BACKUP_DB_NAME and DATABASE_URL both name"),
            (vec![url, ("BACKUP_COMPRESSION", "false")], "BACKUP_COMPRESSION cannot be false"),
            (vec![url, ("BACKUP_ENCRYPTION", "true")], "set BACKUP_AGE_RECIPIENTS"),
            (vec![url, ("BACKUP_ENCRYPTION", "false"), key], "remove one of them"),
            (
                vec![url, ("BACKUP_ENCRYPTION", "perhaps")],
                "BACKUP_ENCRYPTION must be true or false",
            ),
        ] {
            let problems = read(&values).unwrap_err();
            assert!(problems.contains(expected), "{values:?}: {problems}");
        }
        for values in [
            vec![url, ("BACKUP_COMPRESSION", "true"), ("BACKUP_ENCRYPTION", "true"), key],
            vec![url, ("BACKUP_ENCRYPTION", "false")],
        ] {
            read(&values).unwrap();
        }
    }
}
