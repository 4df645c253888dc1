//! Changes who can open a backup, without writing its data anew.

use crate::{
    BackupName, Error, Identities, Recipients, Result, SigningKey, Store, list, seal::BackupKey,
    verify::open_key,
};

/// Encrypts a backup's key to other recipients. From then on they open the backup, and those who did
/// before do not, unless they have kept a copy of its key.
///
/// # Errors
/// [`Error::WrongKey`] when none of the identities opens it; [`Error::Settings`] when it is not
/// encrypted, or there are no recipients; what the store said.
pub async fn rekey(
    store: &Store,
    name: &BackupName,
    identities: &Identities,
    recipients: &Recipients,
    signing_key: Option<&SigningKey>,
) -> Result<()> {
    if recipients.is_empty() {
        return Err(Error::Settings(
            "nobody could open it: BACKUP_AGE_RECIPIENTS is empty".to_owned(),
        ));
    }
    let manifest = list::find(store, name, signing_key).await?;
    let key: Option<BackupKey> = open_key(store, &manifest, identities).await?;
    let (Some(key), Some(encryption)) = (key, &manifest.seal.encryption) else {
        return Err(Error::Settings(format!("{name} is not encrypted")));
    };
    // One object, written at once: who reads it meanwhile reads the old one or the new one.
    let object = format!("{name}/{}", encryption.key_object);
    store.put(&object, key.wrap(recipients)?.into()).await
}
