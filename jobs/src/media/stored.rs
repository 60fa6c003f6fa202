//! An encrypted file in the object store.

use std::{
    fs::File,
    io::{Seek as _, Write as _},
    pin::pin,
};

use futures_util::StreamExt as _;
use passerelle_engine::{
    ids::{ObjectId, OrgId},
    media::SealedFile,
};

use super::{
    confined,
    objects::{Objects, ObjectsError},
};

/// An encrypted file in the object store.
pub(super) struct Sealed {
    pub(super) org: OrgId,
    pub(super) object: ObjectId,
    pub(super) file: SealedFile,
}

impl Sealed {
    /// Decrypts the whole file into a file in memory, rewound.
    pub(super) async fn in_memory(&self, objects: &Objects) -> Result<File, ObjectsError> {
        let failed = ObjectsError::in_memory;
        let mut file = confined::in_memory().map_err(failed)?;
        let size = self.file.size;
        let bytes = objects.part(self.org, self.object, self.file.clone(), 0..size);
        let mut bytes = pin!(bytes.await?);
        while let Some(chunk) = bytes.next().await {
            file.write_all(&chunk?).map_err(failed)?;
        }
        file.rewind().map_err(failed)?;
        Ok(file)
    }

    /// Deletes it.
    pub(super) async fn forget(&self, objects: &Objects) {
        objects.forget(self.org, self.object).await;
    }
}
