//! What the store writes to: files that are created, appended to, made durable, renamed and removed.
//!
//! One seam, so that tests can take away what was not made durable, fill the disk or fail a call, which killing a
//! process cannot show.

use std::{
    fmt,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::Path,
    sync::Arc,
};

/// A file being written.
pub trait DiskFile: Write + Send + Sync + fmt::Debug {
    /// Returns when everything written so far survives a loss of power.
    fn sync(&self) -> io::Result<()>;
    /// Another handle of the same file, to make durable what others go on writing.
    fn handle(&self) -> io::Result<Box<dyn DiskFile>>;
    /// Cuts the file to `length` bytes and goes on writing there.
    fn cut(&mut self, length: u64) -> io::Result<()>;
}

/// Where files are written.
pub trait Disk: Send + Sync + fmt::Debug {
    /// Makes a file that must not exist yet.
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
    /// Gives a file its final name; replaces what has that name.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file; one that is not there is no error.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Returns when names given and removed in `folder` survive a loss of power.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;
}

/// The operating system's.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemDisk;

#[derive(Debug)]
struct SystemFile(Arc<File>);

impl Write for SystemFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&*self.0).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl DiskFile for SystemFile {
    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn handle(&self) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(Self(Arc::clone(&self.0))))
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        use std::io::Seek as _;
        self.0.set_len(length)?;
        (&*self.0).seek(io::SeekFrom::Start(length))?;
        Ok(())
    }
}

impl Disk for SystemDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let file = OpenOptions::new().write(true).create_new(true).open(path)?;
        Ok(Box::new(SystemFile(Arc::new(file))))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        match fs::remove_file(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            result => result,
        }
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        File::open(folder)?.sync_all()
    }
}
