//! A directory.

use std::{fs, path::Path, sync::Arc};

use object_store::local::LocalFileSystem;

use crate::{Error, Provider, Result, Store};

/// Opens a directory, and makes it if it is not there. Files get their name when they are whole and on
/// the disk: they are flushed, and so is the directory.
///
/// # Errors
/// [`Error::NoDestination`].
pub fn directory(path: &Path) -> Result<Store> {
    let failed = |source: Box<dyn std::error::Error + Send + Sync>| Error::NoDestination {
        destination: path.display().to_string(),
        source,
    };
    fs::create_dir_all(path).map_err(|error| failed(error.into()))?;
    let objects = LocalFileSystem::new_with_prefix(path).map_err(|error| failed(error.into()))?;
    let objects = objects.with_fsync(true).with_automatic_cleanup(true);
    let store =
        Store::new(Arc::new(objects), object_store::path::Path::default(), Provider::Directory);
    Ok(store.in_directory(path.to_owned()))
}
