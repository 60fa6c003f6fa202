//! The modes of the files that a process makes.

use rustix::{fs::Mode, process::umask};

/// Makes every file and folder that this process creates from now on readable by its own user alone: 0600 and
/// 0700, whatever the process inherited. Call it before there is a thread.
pub fn keep_files_private() {
    umask(Mode::RWXG | Mode::RWXO);
}
