//! Wrapping text that arrives in pieces, indented under its prompt.
//!
//! A model's text goes to a terminal, so characters that would command it (escape sequences) are shown as a
//! dot instead.

use std::io::{self, Write};

/// Columns before each line of an answer.
const INDENT: &str = "    ";

/// The state of one wrapped text.
#[derive(Debug)]
pub struct Wrap {
    columns: usize,
    /// Columns written on the current line, the indent included; 0 before it.
    column: usize,
    /// A word whose end has not arrived.
    word: String,
    word_columns: usize,
    /// Whether a space goes before the word, should it fit.
    space: bool,
}

impl Wrap {
    /// Wraps at `columns`.
    pub fn new(columns: usize) -> Self {
        Self {
            columns,
            column: 0,
            word: String::new(),
            word_columns: 0,
            space: false,
        }
    }

    /// Writes the words that are whole; a word longer than a line is cut.
    pub fn push(&mut self, to: &mut impl Write, text: &str) -> io::Result<()> {
        for letter in text.chars() {
            match letter {
                '\n' => {
                    self.end_word(to)?;
                    self.end_line(to)?;
                }
                space if space.is_whitespace() => {
                    self.end_word(to)?;
                    self.space = true;
                }
                letter => {
                    self.word
                        .push(if letter.is_control() { '·' } else { letter });
                    self.word_columns += 1;
                    if self.word_columns + INDENT.len() >= self.columns {
                        self.end_word(to)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Writes what is left and ends the line.
    pub fn finish(&mut self, to: &mut impl Write) -> io::Result<()> {
        self.end_word(to)?;
        if self.column > 0 {
            self.end_line(to)?;
        }
        Ok(())
    }

    fn end_word(&mut self, to: &mut impl Write) -> io::Result<()> {
        if self.word.is_empty() {
            return Ok(());
        }
        let space = usize::from(self.space && self.column > 0);
        if self.column > 0 && self.column + space + self.word_columns > self.columns {
            self.end_line(to)?;
        }
        if self.column == 0 {
            to.write_all(INDENT.as_bytes())?;
            self.column = INDENT.len();
        } else if self.space {
            to.write_all(b" ")?;
            self.column += 1;
        }
        to.write_all(self.word.as_bytes())?;
        self.column += self.word_columns;
        self.word.clear();
        self.word_columns = 0;
        self.space = false;
        Ok(())
    }

    fn end_line(&mut self, to: &mut impl Write) -> io::Result<()> {
        to.write_all(b"\n")?;
        self.column = 0;
        self.space = false;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn wrapped(columns: usize, pieces: &[&str]) -> String {
        let mut out = Vec::new();
        let mut wrap = Wrap::new(columns);
        for piece in pieces {
            wrap.push(&mut out, piece).unwrap();
        }
        wrap.finish(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn words_are_wrapped_under_the_indent() {
        insta::assert_snapshot!(
            wrapped(20, &["The quick bro", "wn fox  jumps\nover", " the lazy dog"]),
            @r"
            The quick brown
            fox jumps
            over the lazy
            dog
        "
        );
    }

    #[test]
    fn terminal_commands_are_defused() {
        assert_eq!(wrapped(40, &["a\u{1b}[2Jb\u{7}"]), "    a·[2Jb·\n");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn no_line_is_too_long_and_no_word_is_lost(text in "[a-z\\n ]{0,200}", cut in 1usize..9) {
            let letters: Vec<char> = text.chars().collect();
            let pieces: Vec<String> = letters.chunks(cut).map(|piece| piece.iter().collect()).collect();
            let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
            let out = wrapped(24, &pieces);
            prop_assert!(out.lines().all(|line| line.chars().count() <= 24), "{out}");
            let squeeze = |text: &str| text.split_whitespace().collect::<String>();
            prop_assert_eq!(squeeze(&out), squeeze(&text));
        }
    }
}
