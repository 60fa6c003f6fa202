//! Encryption of a file as its bytes arrive.

use wacore::upload::MediaEncryptor;

use super::{FileKey, MediaClass, SealedFile};

/// Encrypts one file under a new key.
pub struct Sealer {
    class: MediaClass,
    encryptor: MediaEncryptor,
}

impl Sealer {
    /// Makes a new key from the operating system's random source.
    pub fn new(class: MediaClass) -> Self {
        let plays = matches!(class, MediaClass::Video | MediaClass::Audio);
        let encryptor = MediaEncryptor::new_with_sidecar(class.library(), plays)
            .expect("keys of fixed lengths always fit");
        Self { class, encryptor }
    }

    /// Returns the next encrypted bytes. Less than one block is held back.
    pub fn update(&mut self, chunk: &[u8]) -> Vec<u8> {
        let mut sealed = Vec::with_capacity(chunk.len() + super::BLOCK);
        self.encryptor.update(chunk, &mut sealed);
        sealed
    }

    /// Returns the last encrypted bytes, and what opens the file.
    pub fn finish(self) -> (Vec<u8>, SealedFile) {
        let mut sealed = Vec::with_capacity(super::BLOCK + super::MAC);
        let info = self
            .encryptor
            .finalize(&mut sealed)
            .expect("the keys were accepted at the start");
        let file = SealedFile {
            class: self.class,
            key: FileKey::new(&info.media_key).expect("a file's key has 32 bytes"),
            sha256: info.file_sha256.to_vec(),
            enc_sha256: info.file_enc_sha256.to_vec(),
            size: info.file_length,
            sidecar: info.streaming_sidecar.unwrap_or_default(),
        };
        (sealed, file)
    }
}
