//! Texts that must not be seen.

/// A password or a key. It has no `Display`, and its `Debug` says nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes a text that must not be seen.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Returns the text, for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// Where a secret is that may be replaced while the program runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// Here.
    Text(Secret),
    /// In this file, which is read each time that the secret is needed.
    File(std::path::PathBuf),
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[secret]")
    }
}
