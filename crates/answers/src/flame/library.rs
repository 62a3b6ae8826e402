//! Which library a frame is of, by its file, its module and its name.
//!
//! Python's packages are the folder below `site-packages`, named as they are installed where that differs from how they are
//! imported; Rust's crates are the folder that cargo unpacks them into, or what a symbol's path begins with; Go's modules
//! and Node's packages are their folders; anything else is the shared library or program that has the code.

use super::Frame;

/// The program's own code, as far as it is told from libraries.
pub const OWN: &str = "(program)";
/// What nothing is known of.
pub const UNKNOWN: &str = "(unknown)";
/// The operating system's kernel.
pub const KERNEL: &str = "kernel";
/// The interpreter itself.
pub const PYTHON: &str = "python";

/// Go's own library, which allocates, schedules and collects.
const GO_RUNTIME: &str = "runtime";

/// Libraries that do what others ask of them: their time is charged to whoever called them.
const SERVANTS: [&str; 19] = [
    KERNEL,
    PYTHON,
    GO_RUNTIME,
    "libc",
    "libm",
    "libpthread",
    "libstdc++",
    "libgcc_s",
    "ld-linux-x86-64",
    "ld-linux-aarch64",
    "libgomp",
    "libdl",
    "libjemalloc",
    "vdso",
    "core",
    "alloc",
    "std",
    "compiler_builtins",
    "importlib",
];

/// How packages are imported, and how they are called where they are installed.
const INSTALLED_AS: [(&str, &str); 12] = [
    ("PIL", "pillow"),
    ("sklearn", "scikit-learn"),
    ("skimage", "scikit-image"),
    ("cv2", "opencv-python"),
    ("yaml", "pyyaml"),
    ("bs4", "beautifulsoup4"),
    ("dateutil", "python-dateutil"),
    ("google", "google"),
    ("Crypto", "pycryptodome"),
    ("serial", "pyserial"),
    ("zmq", "pyzmq"),
    ("attr", "attrs"),
];

/// Whether what this library does is charged to whoever called it.
pub fn is_servant(library: &str) -> bool {
    SERVANTS.contains(&library)
}

/// The library that a frame is of.
pub fn of(frame: &Frame<'_>) -> String {
    let (file, module) = (
        frame.file.replace('\\', "/"),
        frame.module.replace('\\', "/"),
    );
    let function = &*frame.function;
    if frame.kind == "kernel" || module.contains("kallsyms") || module.contains("vmlinux") {
        return KERNEL.to_owned();
    }
    let is_python =
        frame.kind == "cpython" || has_extension(&file, "py") || file.starts_with("<frozen ");
    let is_go = frame.kind == "go" || has_extension(&file, "go");
    let found = packaged(&file)
        .or_else(|| packaged(&module))
        .or_else(|| is_python.then(|| python(&file)))
        .or_else(|| shared_library(&module))
        .or_else(|| is_go.then(|| go(function)).flatten())
        .or_else(|| symbol(function))
        .or_else(|| program(&module));
    found.unwrap_or_else(|| {
        let is_known = !file.is_empty() || !module.is_empty();
        (if is_known { OWN } else { UNKNOWN }).to_owned()
    })
}

/// What a path says that a packager made.
fn packaged(path: &str) -> Option<String> {
    for folder in ["/site-packages/", "/dist-packages/"] {
        if let Some(name) = below(path, folder) {
            return Some(python_package(name));
        }
    }
    if let Some((_, rest)) = path.rsplit_once("/node_modules/") {
        let mut parts = rest.split('/');
        let name = parts.next()?;
        return Some(match parts.next() {
            Some(scoped) if name.starts_with('@') => format!("{name}/{scoped}"),
            _ => name.to_owned(),
        });
    }
    if let Some((_, rest)) = path.rsplit_once("/pkg/mod/") {
        return Some(
            rest.split_once('@')
                .map_or(rest, |(name, _)| name)
                .to_owned(),
        );
    }
    rust_crate(path).or_else(|| standard_python(path))
}

/// The part of a path that follows `folder`.
fn below<'p>(path: &'p str, folder: &str) -> Option<&'p str> {
    let (_, rest) = path.rsplit_once(folder)?;
    rest.split('/').next().filter(|name| !name.is_empty())
}

/// A package by the name of its folder or file: `numpy.libs` has the libraries that numpy brought.
fn python_package(name: &str) -> String {
    let name = name.split('.').next().unwrap_or(name);
    let installed = INSTALLED_AS.iter().find(|(imported, _)| *imported == name);
    installed
        .map_or(name, |(_, installed)| installed)
        .to_owned()
}

/// `.../registry/src/HOST/NAME-VERSION/...`, `.../git/checkouts/NAME-HASH/...`, `/rustc/HASH/library/NAME/...`.
fn rust_crate(path: &str) -> Option<String> {
    if let Some((_, rest)) = path.rsplit_once("/registry/src/") {
        return rest.split('/').nth(1).map(without_version);
    }
    if let Some(checkout) = below(path, "/git/checkouts/") {
        let name = checkout.rsplit_once('-').map_or(checkout, |(name, _)| name);
        return Some(name.to_owned());
    }
    if path.starts_with("/rustc/") || path.contains("/rustlib/src/rust/") {
        return below(path, "/library/").map(str::to_owned);
    }
    // Vendored, or with the prefix of the machine cut off.
    let mut parts = path.split('/').peekable();
    while let Some(part) = parts.next() {
        if parts.peek() == Some(&"src") && without_version(part) != part {
            return Some(without_version(part));
        }
    }
    None
}

/// `serde_json-1.0.108` is `serde_json`.
fn without_version(folder: &str) -> String {
    let is_version =
        |rest: &str| rest.starts_with(|c: char| c.is_ascii_digit()) && rest.contains('.');
    let dashes = folder.match_indices('-');
    let cut = dashes
        .map(|(at, _)| at)
        .find(|at| is_version(&folder[at + 1..]));
    folder[..cut.unwrap_or(folder.len())].to_owned()
}

/// A module of Python's standard library: `.../lib/python3.11/json/encoder.py` and `.../lib-dynload/_json.cpython-311.so`.
fn standard_python(path: &str) -> Option<String> {
    if let Some(name) = below(path, "/lib-dynload/") {
        return Some(standard_module(name));
    }
    let (_, rest) = path.split_once("/lib/python3")?;
    // Debian's own packages, and those of a virtual environment, were told by their folder.
    let (version, name) = rest.split_once('/')?;
    let is_version = version
        .bytes()
        .all(|byte| byte == b'.' || byte.is_ascii_digit());
    is_version.then(|| standard_module(name.split('/').next().unwrap_or(name)))
}

/// Modules in C have an underscore that the module which people import has not.
fn standard_module(name: &str) -> String {
    let name = name.split('.').next().unwrap_or(name);
    name.trim_start_matches('_').to_owned()
}

/// A file of Python that no packager made.
fn python(file: &str) -> String {
    match file.strip_prefix("<frozen ") {
        Some(module) => standard_module(module.trim_end_matches('>')),
        // py-spy leaves out the folder in which Python looks for modules.
        None => match file.split_once('/') {
            Some((package, _)) if is_identifier(package) => {
                standard_module(&python_package(package))
            }
            _ => OWN.to_owned(),
        },
    }
}

fn is_identifier(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte == b'_' || byte.is_ascii_alphanumeric())
}

/// `libcudart.so.12` is `libcudart`, `libc-2.31.so` is `libc`, `foo.dll` is `foo`.
fn shared_library(module: &str) -> Option<String> {
    let name = module.rsplit('/').next().unwrap_or(module);
    if name == "[vdso]" || name.starts_with("linux-vdso") {
        return Some("vdso".to_owned());
    }
    let stem = name
        .split_once(".so")
        .filter(|(_, rest)| rest.is_empty() || rest.starts_with('.'))
        .map(|(stem, _)| stem)
        .or_else(|| name.strip_suffix(".dylib"))
        .or_else(|| name.strip_suffix(".dll"))?;
    let stem = without_version(stem);
    // The interpreter is a library on some systems.
    let is_python = stem.starts_with("libpython") || stem.starts_with("python3");
    Some(if is_python { PYTHON.to_owned() } else { stem })
}

/// `github.com/owner/name.(*Type).Method` is of `github.com/owner/name`.
fn go(function: &str) -> Option<String> {
    let last = function.rfind('/').map_or(0, |slash| slash + 1);
    let dot = function[last..].find('.')?;
    let package = &function[..last + dot];
    // What Go calls `main` is the program.
    let is_own = package == "main";
    Some((if is_own { OWN } else { package }).to_owned())
}

/// What a path of names begins with: `serde_json::de::from_str`, `<alloc::vec::Vec<T> as core::ops::Drop>::drop`.
fn symbol(function: &str) -> Option<String> {
    let path = function.trim_start_matches(['<', '&', '*', ' ']);
    let path = path.strip_prefix("dyn ").unwrap_or(path);
    let (first, _) = path.split_once("::")?;
    is_identifier(first).then(|| first.to_owned())
}

/// The program that has the code: its own, unless it is the interpreter.
fn program(module: &str) -> Option<String> {
    let name = module.rsplit('/').next().unwrap_or(module);
    let rest = name.strip_prefix("python")?;
    let is_python = rest
        .bytes()
        .all(|byte| byte == b'.' || byte.is_ascii_digit());
    is_python.then(|| PYTHON.to_owned())
}

/// Whether a file's name ends with this after its last full stop, as compilers and interpreters spell it.
fn has_extension(file: &str, extension: &str) -> bool {
    file.rsplit_once('.')
        .is_some_and(|(_, last)| last == extension)
}
