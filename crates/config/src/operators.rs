//! Who operates the installation: makes backups and restores them, whatever organization anybody is of.

use std::{collections::BTreeSet, fs};

use crate::{ListenerTls, Reader, Secret, Variable};

const METADATA_OPERATORS: Variable = Variable {
    name: "METADATA_OPERATORS",
    aliases: &[],
    default: Some(""),
    secret: false,
    help: "The CNs of the certificates of operators, with commas between them: they may make backups and restore them. For requests without another credential; METADATA_TLS must ask for certificates.",
};
const METADATA_OPERATOR_TOKENS_FILE: Variable = Variable {
    name: "METADATA_OPERATOR_TOKENS_FILE",
    aliases: &[],
    default: None,
    secret: false,
    help: "A file that has a line for each token of an operator: a name, a blank, and the SHA-256 of the token in hexadecimal. Read at the start. docs/operations.md says how to make one.",
};

const METADATA_OPERATIONS_KEY: Variable = Variable {
    name: "METADATA_OPERATIONS_KEY",
    aliases: &[],
    default: None,
    secret: true,
    help: "Proves to the backup worker that an operator asked to restore or to remove a backup: 32 random characters or more, the same for the server and for the worker, and nowhere in the database. Without it both refuse these two. brownie-standalone makes its own.",
};

pub(crate) static VARIABLES: &[Variable] =
    &[METADATA_OPERATORS, METADATA_OPERATOR_TOKENS_FILE, METADATA_OPERATIONS_KEY];

/// Who asks when nobody does: no operator's name.
const RESERVED: &str = "schedule";

/// How operators are known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OperatorSettings {
    /// By the CN of a certificate.
    pub names: BTreeSet<String>,
    /// By the SHA-256 of a token; each with the operator's name.
    pub tokens: Vec<(String, [u8; 32])>,
    /// What proves to the worker that they asked.
    pub operations_key: Option<Secret>,
}

impl OperatorSettings {
    /// Tells whether there are none.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty() && self.tokens.is_empty()
    }

    pub(crate) fn read(reader: &mut Reader, tls: ListenerTls) -> Self {
        let names = reader.text(&METADATA_OPERATORS).unwrap_or_default();
        let names: BTreeSet<String> = names
            .split(',')
            .map(str::trim)
            .filter(|name| !name.is_empty())
            .map(Into::into)
            .collect();
        if !names.is_empty() && !matches!(tls, ListenerTls::Optional | ListenerTls::Mutual) {
            let message =
                "says who operators are by certificates that METADATA_TLS does not ask them for";
            reader.problem(&METADATA_OPERATORS, message);
        }
        if names.contains(RESERVED) {
            reader.problem(&METADATA_OPERATORS, "cannot name \"schedule\", which is nobody");
        }
        Self { names, tokens: tokens(reader), operations_key: operations_key(reader) }
    }
}

/// Reads what proves to a worker that an operator asked.
pub(crate) fn operations_key(reader: &mut Reader) -> Option<Secret> {
    let key = reader.secret(&METADATA_OPERATIONS_KEY)?;
    if key.expose().chars().count() < 32 {
        reader.problem(&METADATA_OPERATIONS_KEY, "must have 32 characters or more");
    }
    Some(key)
}

fn tokens(reader: &mut Reader) -> Vec<(String, [u8; 32])> {
    let Some(path) = reader.text(&METADATA_OPERATOR_TOKENS_FILE) else { return Vec::new() };
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) => {
            let message = format!("names {path}, which cannot be read: {error}");
            reader.problem(&METADATA_OPERATOR_TOKENS_FILE, message);
            return Vec::new();
        }
    };
    let mut tokens = Vec::new();
    for (line, number) in text.lines().map(str::trim).zip(1_usize..) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match line.split_once(char::is_whitespace).and_then(|(name, hash)| {
            Some((name.to_owned(), digest(hash.trim())?)).filter(|(name, _)| name != RESERVED)
        }) {
            Some(token) => tokens.push(token),
            // The line may have the token itself in it.
            None => reader.problem(
                &METADATA_OPERATOR_TOKENS_FILE,
                format!("has in line {number} of {path} something other than a name and the SHA-256 of a token in 64 hexadecimal digits"),
            ),
        }
    }
    tokens
}

/// Reads 64 hexadecimal digits.
fn digest(text: &str) -> Option<[u8; 32]> {
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut digest = [0; 32];
    for (byte, pair) in digest.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[(&str, &str)], tls: ListenerTls) -> Result<OperatorSettings, String> {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let mut reader = Reader::from_values(values.iter().map(own).collect());
        let settings = OperatorSettings::read(&mut reader, tls);
        reader.finish().map(|()| settings).map_err(|problems| problems.to_string())
    }

    fn of_file(text: &str) -> Result<OperatorSettings, String> {
        let path =
            std::env::temp_dir().join(format!("operators-{}-{}", std::process::id(), text.len()));
        fs::write(&path, text).unwrap();
        let path_text = path.display().to_string();
        let read = read(&[("METADATA_OPERATOR_TOKENS_FILE", &path_text)], ListenerTls::Off);
        fs::remove_file(path).unwrap();
        read
    }

    #[test]
    fn there_are_none_unless_somebody_is_named() {
        assert!(read(&[], ListenerTls::Off).unwrap().is_empty());
        let named = [("METADATA_OPERATORS", "ops-1, ops-2")];
        assert_eq!(read(&named, ListenerTls::Mutual).unwrap().names.len(), 2);
        assert!(read(&named, ListenerTls::On).unwrap_err().contains("METADATA_TLS"));
    }

    #[test]
    fn a_file_has_names_and_digests_and_never_a_token() {
        let digest = "ab".repeat(32);
        let good = format!("# who is on call\n\nada  {digest}\nbob {}\n", digest.to_uppercase());
        let settings = of_file(&good).unwrap();
        assert_eq!(
            settings.tokens,
            [("ada".to_owned(), [0xab; 32]), ("bob".to_owned(), [0xab; 32])]
        );
        for bad in [
            "ada hunter2",
            "ada",
            &digest,
            &format!("ada {digest}0"),
            &format!("schedule {digest}"),
        ] {
            let problem = of_file(bad).unwrap_err();
            assert!(problem.contains("in line 1"), "{problem}");
            assert!(!problem.contains("hunter2"), "{problem}");
        }
        let missing = [("METADATA_OPERATOR_TOKENS_FILE", "/nowhere/at/all")];
        assert!(read(&missing, ListenerTls::Off).unwrap_err().contains("cannot be read"));
    }
}
