//! A stack as text: a line for each frame, the first that called the others first; in a line, between tabs, the function,
//! its file, the line in it, the module (a program or shared library) and the kind. What is empty at the end is left out.
//!
//! One text is one stack, so that a store keeps it once and statements can look into it (`stack LIKE '%softmax%'`).

use std::{borrow::Cow, fmt::Write as _};

/// Most frames of a stack; of a deeper one those nearest to its root are left out.
pub const FRAMES_MAX: usize = 1024;
/// Most bytes of a name or path.
pub const TEXT_BYTES_MAX: usize = 1024;
/// What stands for the frames that a stack had too many.
pub const TRUNCATED: &str = "(more frames)";

/// A call in a stack.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frame<'a> {
    /// The function's name.
    pub function: Cow<'a, str>,
    /// Its source file; empty where it is not known.
    pub file: Cow<'a, str>,
    /// The line in the file; 0 where it is not known.
    pub line: u64,
    /// The program or shared library that its code is in; empty where it is not known.
    pub module: Cow<'a, str>,
    /// What runs it, as OpenTelemetry's `profile.frame.type` says it: `cpython`, `native`, `kernel` ...
    pub kind: Cow<'a, str>,
}

impl<'a> Frame<'a> {
    /// One of which only the name is known.
    pub fn named(function: &'a str) -> Self {
        Self {
            function: Cow::Borrowed(function),
            ..Self::default()
        }
    }
}

/// Appends `frame` to a stack: it was called by the last one.
pub fn push_frame(stack: &mut String, frame: &Frame<'_>) {
    if !stack.is_empty() {
        stack.push('\n');
    }
    push_text(stack, &frame.function);
    // The least that tells a frame from the separator of none.
    if frame.function.is_empty() {
        stack.push('?');
    }
    let mut tabs = 1;
    let mut next = |stack: &mut String, is_empty: bool| {
        if is_empty {
            tabs += 1;
        } else {
            (0..std::mem::replace(&mut tabs, 1)).for_each(|_| stack.push('\t'));
        }
        !is_empty
    };
    if next(stack, frame.file.is_empty()) {
        push_text(stack, &frame.file);
    }
    if next(stack, frame.line == 0) {
        // Writing to a string does not fail.
        let _ = write!(stack, "{}", frame.line);
    }
    if next(stack, frame.module.is_empty()) {
        push_text(stack, &frame.module);
    }
    if next(stack, frame.kind.is_empty()) {
        push_text(stack, &frame.kind);
    }
}

/// Appends a name without what separates names, and not longer than it may be.
fn push_text(stack: &mut String, text: &str) {
    let text = &text[..text.floor_char_boundary(TEXT_BYTES_MAX)];
    if text.bytes().any(|byte| byte < b' ') {
        let plain = text.chars().map(|c| if c.is_control() { ' ' } else { c });
        stack.extend(plain);
    } else {
        stack.push_str(text);
    }
}

/// The frames of a stack, the first that called the others first.
pub type Stack<'a> = std::iter::Map<std::str::Lines<'a>, fn(&'a str) -> Frame<'a>>;

/// The frames of a stack that [`push_frame`] made. Any text is some stack.
pub fn frames(stack: &str) -> Stack<'_> {
    stack.lines().map(frame)
}

fn frame(line: &str) -> Frame<'_> {
    let mut parts = line.split('\t');
    let mut next = || parts.next().unwrap_or_default();
    Frame {
        function: Cow::Borrowed(next()),
        file: Cow::Borrowed(next()),
        line: next().parse().unwrap_or(0),
        module: Cow::Borrowed(next()),
        kind: Cow::Borrowed(next()),
    }
}
