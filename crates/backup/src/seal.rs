//! Encryption by age: to whom, and by whom it is opened.
//!
//! Every backup has a key of its own, an age identity that is made for it. The data is encrypted to
//! that key, and the key to the recipients, in an object beside the data. By hand:
//!
//! ```sh
//! age -d -i mine.key key.age > backup.key
//! age -d -i backup.key incidents-00001.copy.zst.age | zstd -d
//! ```

use std::{
    fmt,
    io::{self, Read, Write},
};

use age::{
    Decryptor, Encryptor,
    secrecy::ExposeSecret,
    stream::StreamWriter,
    x25519::{Identity, Recipient},
};

use crate::{Error, Result};

/// The file name of a backup's key, beside the data.
pub(crate) const KEY_FILE: &str = "key.age";

/// Whom backups are encrypted to: public keys, `age1...`. Empty for nobody: no encryption.
#[derive(Clone, Default)]
pub struct Recipients(Vec<Recipient>);

impl Recipients {
    /// Reads public keys, separated by commas or blanks.
    ///
    /// # Errors
    /// [`Error::Settings`], naming the one that is none.
    pub fn parse(text: &str) -> Result<Self> {
        let words =
            text.split(|c: char| c == ',' || c.is_whitespace()).filter(|word| !word.is_empty());
        let mut recipients = Vec::new();
        for word in words {
            // A private key must not be shown, so nothing of what was given is.
            let recipient = word.parse().map_err(|why| {
                Error::Settings(format!(
                    "recipient {} of BACKUP_AGE_RECIPIENTS is no public key of age, which begins with age1 ({why}); `age-keygen` makes a pair",
                    recipients.len() + 1
                ))
            })?;
            recipients.push(recipient);
        }
        Ok(Self(recipients))
    }

    /// Tells whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns them as text.
    pub fn names(&self) -> Vec<String> {
        self.0.iter().map(ToString::to_string).collect()
    }

    /// Returns a writer that encrypts to them; that does not where there are none.
    pub(crate) fn seal<W: Write>(&self, output: W) -> io::Result<Sealed<W>> {
        if self.0.is_empty() {
            return Ok(Sealed::Plain(output));
        }
        let recipients = self.0.iter().map(|recipient| recipient as &dyn age::Recipient);
        let encryptor = Encryptor::with_recipients(recipients).map_err(io::Error::other)?;
        encryptor.wrap_output(output).map(Sealed::Encrypted)
    }

    fn encrypt(&self, text: &str) -> io::Result<Vec<u8>> {
        let recipients = self.0.iter().map(|recipient| recipient as &dyn age::Recipient);
        let encryptor = Encryptor::with_recipients(recipients).map_err(io::Error::other)?;
        let mut writer = encryptor.wrap_output(Vec::new())?;
        writer.write_all(text.as_bytes())?;
        writer.finish()
    }
}

impl fmt::Debug for Recipients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}

/// Private keys that open backups. Their `Debug` says how many there are.
#[derive(Clone, Default)]
pub struct Identities(Vec<Identity>);

impl Identities {
    /// Reads a file of `age-keygen`: one `AGE-SECRET-KEY-1...` a line, and comments.
    ///
    /// # Errors
    /// [`Error::Settings`], naming the line that is none.
    pub fn parse(text: &str) -> Result<Self> {
        let mut identities = Vec::new();
        for (line, number) in text.lines().map(str::trim).zip(1..) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let identity = line.parse().map_err(|_| {
                Error::Settings(format!(
                    "line {number} of BACKUP_AGE_IDENTITY_FILE is no private key of age, which begins with AGE-SECRET-KEY-1"
                ))
            })?;
            identities.push(identity);
        }
        Ok(Self(identities))
    }

    /// Returns a reader of what was encrypted to one of them; none when it was to none.
    pub(crate) fn open<R: Read>(&self, input: R) -> io::Result<Option<impl Read + use<R>>> {
        let decryptor = Decryptor::new(input).map_err(io::Error::other)?;
        match decryptor.decrypt(self.0.iter().map(|identity| identity as &dyn age::Identity)) {
            Ok(plain) => Ok(Some(plain)),
            Err(age::DecryptError::NoMatchingKeys) => Ok(None),
            Err(error) => Err(io::Error::other(error)),
        }
    }
}

impl fmt::Debug for Identities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{} secret(s)]", self.0.len())
    }
}

/// The key of one backup. Its `Debug` shows the public half.
#[derive(Clone)]
pub(crate) struct BackupKey(Identity);

impl BackupKey {
    pub(crate) fn generate() -> Self {
        Self(Identity::generate())
    }

    /// Returns the public half.
    pub(crate) fn recipient(&self) -> Recipient {
        self.0.to_public()
    }

    /// Returns the key as an age file for the recipients.
    pub(crate) fn wrap(&self, recipients: &Recipients) -> Result<Vec<u8>> {
        let text = format!("{}\n", self.0.to_string().expose_secret());
        recipients.encrypt(&text).map_err(|error| {
            Error::Settings(format!("the backup's key cannot be encrypted: {error}"))
        })
    }

    /// Opens the age file. `recipient` is the public half that the manifest names.
    ///
    /// # Errors
    /// [`Error::WrongKey`], or [`Error::Damaged`] naming `object`.
    pub(crate) fn unwrap(
        wrapped: &[u8],
        identities: &Identities,
        object: &str,
        encryption: &crate::manifest::Encryption,
    ) -> Result<Self> {
        let damaged = |what: String| Error::Damaged { object: object.to_owned(), what };
        let wrong_key = || Error::WrongKey {
            object: object.to_owned(),
            recipients: encryption.recipients.clone(),
        };
        let decryptor = Decryptor::new(wrapped)
            .map_err(|error| damaged(format!("it is no age file: {error}")))?;
        let identities = identities.0.iter().map(|identity| identity as &dyn age::Identity);
        let mut text = String::new();
        match decryptor.decrypt(identities) {
            Ok(mut reader) => reader
                .read_to_string(&mut text)
                .map_err(|error| damaged(format!("it cannot be decrypted: {error}")))?,
            Err(age::DecryptError::NoMatchingKeys) => return Err(wrong_key()),
            Err(error) => return Err(damaged(format!("it cannot be decrypted: {error}"))),
        };
        let key: Identity =
            text.trim().parse().map_err(|_| damaged("there is no key in it".to_owned()))?;
        if key.to_public().to_string() != encryption.recipient {
            return Err(damaged("it is the key of another backup".to_owned()));
        }
        Ok(Self(key))
    }

    /// Returns a reader of what was encrypted to this key.
    pub(crate) fn decrypt<R: Read>(&self, input: R) -> io::Result<impl Read + use<R>> {
        let decryptor = Decryptor::new(input).map_err(io::Error::other)?;
        decryptor.decrypt(std::iter::once(&self.0 as &dyn age::Identity)).map_err(io::Error::other)
    }
}

impl fmt::Debug for BackupKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.recipient(), f)
    }
}

/// Writes as it is, or encrypted.
pub(crate) enum Sealed<W: Write> {
    Plain(W),
    Encrypted(StreamWriter<W>),
}

impl<W: Write> Sealed<W> {
    pub(crate) fn new(output: W, recipient: Option<&Recipient>) -> io::Result<Self> {
        let Some(recipient) = recipient else { return Ok(Self::Plain(output)) };
        let encryptor =
            Encryptor::with_recipients(std::iter::once(recipient as &dyn age::Recipient))
                .map_err(io::Error::other)?;
        encryptor.wrap_output(output).map(Self::Encrypted)
    }

    /// Writes what an age file ends with.
    pub(crate) fn finish(self) -> io::Result<W> {
        match self {
            Self::Plain(output) => Ok(output),
            Self::Encrypted(writer) => writer.finish(),
        }
    }
}

impl<W: Write> Write for Sealed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(output) => output.write(bytes),
            Self::Encrypted(writer) => writer.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(output) => output.flush(),
            Self::Encrypted(writer) => writer.flush(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Encryption;

    fn encryption(key: &BackupKey, recipients: &Recipients) -> Encryption {
        Encryption {
            recipient: key.recipient().to_string(),
            key_object: "key.age".to_owned(),
            recipients: recipients.names(),
        }
    }

    #[test]
    fn a_key_is_opened_by_any_of_its_recipients_and_nobody_else() {
        let (one, two, other) = (Identity::generate(), Identity::generate(), Identity::generate());
        let text = format!("{}, {}", one.to_public(), two.to_public());
        let recipients = Recipients::parse(&text).unwrap();
        let key = BackupKey::generate();
        let wrapped = key.wrap(&recipients).unwrap();
        let encryption = encryption(&key, &recipients);
        for identity in [&one, &two] {
            let file = format!("# created\n\n{}\n", identity.to_string().expose_secret());
            let identities = Identities::parse(&file).unwrap();
            let opened = BackupKey::unwrap(&wrapped, &identities, "key.age", &encryption).unwrap();
            assert_eq!(opened.recipient(), key.recipient());
        }
        for identities in [Identities(vec![other]), Identities::default()] {
            let error =
                BackupKey::unwrap(&wrapped, &identities, "key.age", &encryption).unwrap_err();
            assert!(matches!(&error, Error::WrongKey { .. }), "{error}");
            assert!(error.to_string().contains(&one.to_public().to_string()), "{error}");
        }
    }

    #[test]
    fn any_changed_byte_of_a_key_file_is_noticed() {
        let me = Identity::generate();
        let recipients = Recipients::parse(&me.to_public().to_string()).unwrap();
        let key = BackupKey::generate();
        let wrapped = key.wrap(&recipients).unwrap();
        let encryption = encryption(&key, &recipients);
        let identities = Identities(vec![me]);
        for at in 0..wrapped.len() {
            let mut changed = wrapped.clone();
            changed[at] ^= 1;
            assert!(
                BackupKey::unwrap(&changed, &identities, "key.age", &encryption).is_err(),
                "{at}"
            );
        }
        // Nor does another backup's do.
        let other = BackupKey::generate().wrap(&recipients).unwrap();
        assert!(BackupKey::unwrap(&other, &identities, "key.age", &encryption).is_err());
    }

    #[test]
    fn no_private_key_is_shown() {
        let me = Identity::generate();
        let text = me.to_string().expose_secret().to_owned();
        let refusal = Recipients::parse(&text).unwrap_err().to_string();
        let shown = format!("{refusal} {:?}", Identities(vec![me]));
        assert!(refusal.contains("recipient 1"), "{refusal}");
        assert!(!shown.contains(&text) && !shown.contains("AGE-SECRET-KEY-1Q"), "{shown}");
        let refusal = Identities::parse("# x\nhunter2\n").unwrap_err().to_string();
        assert!(refusal.contains("line 2") && !refusal.contains("hunter2"), "{refusal}");
    }
}
