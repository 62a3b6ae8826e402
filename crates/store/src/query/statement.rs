//! How much a statement may say, which is found before it is planned.
//!
//! Invariants: whatever passes here is planned and run in the stack that threads of the engine have, and what its planner makes
//! of it is not much larger than what it says. Chains of operators nest as deeply as they are long, and a query that uses the
//! one before twice doubles what is planned each time.

use std::{
    collections::{HashMap, HashSet},
    ops::ControlFlow,
    ptr,
};

use datafusion::{
    error::DataFusionError,
    sql::{
        parser::Statement,
        sqlparser::{
            ast::{
                Expr, ObjectName, ObjectNamePart, Query, Select, SelectItem, Visit as _, Visitor,
            },
            dialect::GenericDialect,
            keywords::Keyword,
            tokenizer::{Token, Tokenizer, Word},
        },
    },
};

/// Most that a statement may ask for: one for each operator, [`TABLE`] for each table, and [`TEXT`] for what makes text.
const STEPS_MAX: usize = 512;
/// A table, a join, a query within another, and each part of a `UNION`.
const TABLE: usize = 8;
/// What makes new text of its arguments, all of which a batch of rows has at once.
const TEXT: usize = 16;
/// Most parentheses within each other. The parser has a bound of its own, of 50, in most places.
const PARENTHESES_MAX: usize = 64;
/// Most tables once each name of a `WITH` is replaced by what it stands for.
const TABLES_MAX: u64 = 128;
/// Most columns in an expression once each column is replaced by the expression that it stands for.
const COLUMNS_MAX: u64 = 50_000;
/// Longest fixed size in the name of a type: every value takes so much, nulls too.
const FIXED_SIZE_MAX: u64 = 4096;

/// What makes text, besides `||`.
const TEXTS: [&str; 7] = [
    "array_to_string",
    "concat",
    "concat_ws",
    "overlay",
    "regexp_replace",
    "replace",
    "translate",
];
const TABLES: [Keyword; 11] = [
    Keyword::SELECT,
    Keyword::VALUES,
    Keyword::TABLE,
    Keyword::JOIN,
    Keyword::APPLY,
    Keyword::UNNEST,
    Keyword::LATERAL,
    Keyword::UNION,
    Keyword::EXCEPT,
    Keyword::INTERSECT,
    Keyword::MINUS,
];
const OPERATORS: [Keyword; 21] = [
    Keyword::AND,
    Keyword::OR,
    Keyword::XOR,
    Keyword::NOT,
    Keyword::IS,
    Keyword::IN,
    Keyword::LIKE,
    Keyword::ILIKE,
    Keyword::RLIKE,
    Keyword::REGEXP,
    Keyword::SIMILAR,
    Keyword::BETWEEN,
    Keyword::CASE,
    Keyword::WHEN,
    Keyword::COLLATE,
    Keyword::AT,
    Keyword::OVER,
    Keyword::EXISTS,
    Keyword::INTERVAL,
    Keyword::ARRAY,
    Keyword::EXPLAIN,
];
/// What ends a list of tables.
const AFTER_TABLES: [Keyword; 11] = [
    Keyword::SELECT,
    Keyword::WHERE,
    Keyword::GROUP,
    Keyword::HAVING,
    Keyword::ORDER,
    Keyword::LIMIT,
    Keyword::WINDOW,
    Keyword::QUALIFY,
    Keyword::UNION,
    Keyword::EXCEPT,
    Keyword::INTERSECT,
];

fn too_much(message: String) -> DataFusionError {
    DataFusionError::Plan(message)
}

/// Refuses what says too much, by its words alone.
pub(super) fn check(statement: &str, bytes_max: usize) -> Result<(), DataFusionError> {
    if statement.len() > bytes_max {
        return Err(too_much(format!(
            "the statement has {} bytes, and one may have {bytes_max}; ask in several statements",
            statement.len()
        )));
    }
    let Ok(tokens) = Tokenizer::new(&GenericDialect {}, statement).tokenize() else {
        // What is no statement is explained by the parser.
        return Ok(());
    };
    let mut counted = Counted {
        steps: 0,
        lists: vec![false],
        previous: None,
    };
    for token in tokens
        .iter()
        .filter(|token| !matches!(token, Token::Whitespace(_)))
    {
        counted.count(token);
        if counted.steps > STEPS_MAX {
            return Err(too_much(format!(
                "the statement asks for too much at once: operators, {TABLE} for each table, sub-query and part of a UNION, and \
                 {TEXT} for each `||`, concat and replace, may be {STEPS_MAX}; ask in several statements"
            )));
        }
        if counted.lists.len() > PARENTHESES_MAX {
            return Err(too_much(format!(
                "the statement has more than {PARENTHESES_MAX} parentheses within each other; ask in several statements"
            )));
        }
        if let Some(size) = fixed_size(token).filter(|size| *size > FIXED_SIZE_MAX) {
            return Err(too_much(format!(
                "a type of {size} values or bytes takes so much of every row; name one of at most {FIXED_SIZE_MAX}"
            )));
        }
    }
    Ok(())
}

/// What a statement asks for, up to some token.
struct Counted<'t> {
    steps: usize,
    /// For each parenthesis that is open, and for what is in none: whether it is in a list of tables.
    lists: Vec<bool>,
    previous: Option<&'t Token>,
}

impl<'t> Counted<'t> {
    fn count(&mut self, token: &'t Token) {
        let is_in_tables = self.lists.last().is_some_and(|list| *list);
        self.steps += match token {
            Token::Word(word) => self.word(word),
            Token::Comma if is_in_tables => TABLE,
            Token::StringConcat => TEXT,
            Token::LParen => {
                self.lists.push(false);
                0
            }
            Token::RParen => {
                if self.lists.len() > 1 {
                    self.lists.pop();
                }
                0
            }
            // The sign of a number in a list.
            Token::Minus | Token::Plus
                if matches!(self.previous, Some(Token::Comma | Token::LParen)) =>
            {
                0
            }
            Token::Comma
            | Token::Number(..)
            | Token::SingleQuotedString(_)
            | Token::DoubleQuotedString(_)
            | Token::EscapedStringLiteral(_)
            | Token::HexStringLiteral(_)
            | Token::RBracket
            | Token::SemiColon
            | Token::EOF => 0,
            _ => 1,
        };
        self.previous = Some(token);
    }

    fn word(&mut self, word: &Word) -> usize {
        let is_comparison = matches!(
            self.previous,
            Some(Token::Word(before)) if before.keyword == Keyword::DISTINCT
        );
        if let Some(last) = self.lists.last_mut() {
            if word.keyword == Keyword::FROM {
                // And not `a IS DISTINCT FROM b`.
                *last |= !is_comparison;
            } else if AFTER_TABLES.contains(&word.keyword) {
                *last = false;
            }
        }
        if TEXTS
            .iter()
            .any(|name| word.value.eq_ignore_ascii_case(name))
        {
            TEXT
        } else if TABLES.contains(&word.keyword) {
            TABLE
        } else {
            usize::from(OPERATORS.contains(&word.keyword))
        }
    }
}

/// The largest number in text that names a type of a fixed size, as `arrow_cast` takes it.
fn fixed_size(token: &Token) -> Option<u64> {
    let (Token::SingleQuotedString(text)
    | Token::DoubleQuotedString(text)
    | Token::EscapedStringLiteral(text)
    | Token::NationalStringLiteral(text)
    | Token::UnicodeStringLiteral(text)) = token
    else {
        return None;
    };
    let at = text.find("FixedSize")?;
    text[at..]
        .split(|c: char| !c.is_ascii_digit())
        .filter(|digits| !digits.is_empty())
        .map(|digits| digits.parse().unwrap_or(u64::MAX))
        .max()
}

/// Refuses what becomes too much when its names are replaced by what they stand for.
pub(super) fn check_names(statement: &Statement) -> Result<(), DataFusionError> {
    let mut statement = statement;
    while let Statement::Explain(explained) = statement {
        statement = &explained.statement;
    }
    let Statement::Statement(statement) = statement else {
        // Refused for another reason: it writes.
        return Ok(());
    };
    let mut growth = Growth::default();
    growth.open.push(Level::default());
    let _ = statement.visit(&mut growth);
    if growth.tables > TABLES_MAX {
        return Err(too_much(format!(
            "the statement reads more than {TABLES_MAX} tables once the names of its WITH are replaced by what they stand for; \
             use each of them once"
        )));
    }
    if growth.columns > COLUMNS_MAX {
        return Err(too_much(format!(
            "an expression of the statement has more than {COLUMNS_MAX} columns once each is replaced by what it stands for; use \
             each column once, or ask in several statements"
        )));
    }
    Ok(())
}

/// How large a query is with everything that it names put in.
#[derive(Clone, Copy, Debug)]
struct Size {
    tables: u64,
    /// Columns of the largest expression that it gives to whoever reads it.
    columns: u64,
}

impl Default for Size {
    fn default() -> Self {
        Self {
            tables: 0,
            columns: 1,
        }
    }
}

impl Size {
    fn largest(self, other: Self) -> Self {
        Self {
            tables: self.tables.max(other.tables),
            columns: self.columns.max(other.columns),
        }
    }
}

/// A query that is being looked at.
#[derive(Debug, Default)]
struct Level {
    tables: u64,
    /// The most that a column of its tables stands for.
    of_column: u64,
    /// Columns in the largest expression, in the largest of those that are selected, and in the one that is being looked at.
    widest: u64,
    widest_selected: u64,
    width: u64,
    depth: u32,
    is_selected: bool,
}

#[derive(Debug, Default)]
struct Growth {
    open: Vec<Level>,
    /// What is selected, by where it is: others name it, as they do not name conditions.
    selected: HashSet<*const Expr>,
    /// The queries of a `WITH`, by where they are.
    named: HashMap<*const Query, String>,
    /// What names of a `WITH` stand for. Where a name is there twice, the larger of both.
    known: HashMap<String, Size>,
    tables: u64,
    columns: u64,
}

impl Growth {
    fn is_too_much(&self) -> bool {
        self.tables > TABLES_MAX || self.columns > COLUMNS_MAX
    }
}

impl Visitor for Growth {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        let named = query.with.iter().flat_map(|with| &with.cte_tables);
        self.named.extend(named.map(|named| {
            let name = named.alias.name.value.to_ascii_lowercase();
            (ptr::from_ref(&*named.query), name)
        }));
        self.open.push(Level::default());
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        let Some(level) = self.open.pop() else {
            return ControlFlow::Break(());
        };
        let of_column = level.of_column.max(1);
        let size = Size {
            tables: level.tables,
            columns: of_column.saturating_mul(level.widest_selected.max(1)),
        };
        self.tables = self.tables.max(size.tables);
        let widest = of_column.saturating_mul(level.widest);
        self.columns = self.columns.max(widest);
        if let Some(name) = self.named.remove(&ptr::from_ref(query)) {
            let known = self.known.entry(name).or_default();
            *known = known.largest(size);
        } else if let Some(outer) = self.open.last_mut() {
            outer.tables = outer.tables.saturating_add(size.tables);
            outer.of_column = outer.of_column.max(size.columns);
        }
        if self.is_too_much() {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
        self.selected
            .extend(select.projection.iter().filter_map(|item| match item {
                SelectItem::UnnamedExpr(expression)
                | SelectItem::ExprWithAlias {
                    expr: expression, ..
                } => Some(ptr::from_ref(expression)),
                _ => None,
            }));
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<()> {
        let name = relation.0.last().and_then(ObjectNamePart::as_ident);
        let known = name.and_then(|name| self.known.get(&name.value.to_ascii_lowercase()));
        let size = known.copied().unwrap_or_default();
        if let Some(level) = self.open.last_mut() {
            level.tables = level.tables.saturating_add(size.tables.max(1));
            level.of_column = level.of_column.max(size.columns);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expression: &Expr) -> ControlFlow<()> {
        if let Some(level) = self.open.last_mut() {
            if level.depth == 0 {
                level.width = 0;
                level.is_selected = self.selected.remove(&ptr::from_ref(expression));
            }
            level.depth += 1;
            if matches!(
                expression,
                Expr::Identifier(_) | Expr::CompoundIdentifier(_)
            ) {
                level.width += 1;
                level.widest = level.widest.max(level.width);
                if level.is_selected {
                    level.widest_selected = level.widest_selected.max(level.width);
                }
            }
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, _: &Expr) -> ControlFlow<()> {
        if let Some(level) = self.open.last_mut() {
            level.depth = level.depth.saturating_sub(1);
        }
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use datafusion::sql::parser::DFParserBuilder;

    use super::*;

    fn refused(statement: &str) -> Option<String> {
        let named = |()| {
            let parsed = DFParserBuilder::new(statement).build()?.parse_statement()?;
            check_names(&parsed)
        };
        let outcome = check(statement, 16 * 1024).and_then(named);
        outcome.err().map(|error| error.strip_backtrace())
    }

    /// Queries of which each uses the one before as `of` says.
    fn chain(length: usize, of: impl Fn(&str) -> String) -> String {
        let names = (1..length).map(|at| format!("a{at} AS ({})", of(&format!("a{}", at - 1))));
        let first = "a0 AS (SELECT name AS c FROM spans)".to_owned();
        let names: Vec<_> = [first].into_iter().chain(names).collect();
        format!("WITH {} SELECT c FROM a{}", names.join(", "), length - 1)
    }

    #[test]
    fn what_people_ask_is_not_refused() {
        let list: Vec<String> = (0..1000).map(|at| format!("-{at}")).collect();
        for statement in [
            "SELECT name, count(*) FROM spans WHERE start_time > now() - interval '1 hour' GROUP BY 1 ORDER BY 2 DESC".to_owned(),
            format!("SELECT value FROM points WHERE series IN ({})", list.join(", ")),
            format!("SELECT {}", (0..1000).map(|at| format!("1 AS c{at}")).collect::<Vec<_>>().join(",")),
            "SELECT arrow_cast(X'00', 'FixedSizeBinary(16)')".to_owned(),
            chain(10, |before| format!("SELECT concat(c, 'x') AS c FROM {before}")),
            chain(5, |before| format!("SELECT c FROM {before} WHERE {}", ["c != 'a'"; 25].join(" AND "))),
            format!("SELECT 1 FROM logs WHERE {}", ["body = 'a'"; 150].join(" AND ")),
        ] {
            assert_eq!(refused(&statement), None, "{statement}");
        }
    }

    #[test]
    fn chains_are_bounded_whatever_they_are_of() {
        for statement in [
            format!("SELECT 1{}", "::int".repeat(600)),
            format!("SELECT {}'b'", "'a'||".repeat(600)),
            format!("SELECT {}1", "1+".repeat(600)),
            format!("SELECT {}1", "- ".repeat(600)),
            ["SELECT 1"; 100].join(" UNION ALL "),
            format!(
                "SELECT 1 FROM spans WHERE {}",
                ["a = 'a'"; 600].join(" and ")
            ),
            format!("SELECT 1 FROM {}", ["spans"; 100].join(", ")),
            format!("SELECT 1 FROM {}", ["(values (1))"; 100].join(", ")),
            format!("SELECT attributes{} FROM spans", "['a']".repeat(600)),
            format!("SELECT 1 FROM {}spans{}", "(".repeat(100), ")".repeat(100)),
            format!("SELECT a{}", " IS NULL".repeat(600)),
            chain(100, |before| format!("SELECT c FROM {before}")),
            "SELECT arrow_cast(NULL, 'FixedSizeBinary(2000000000)')".to_owned(),
        ] {
            assert!(refused(&statement).is_some(), "{}", &statement[..40]);
        }
        let long = refused(&format!("SELECT '{}'", "a".repeat(17_000))).unwrap();
        assert!(long.contains("16384"), "{long}");
    }

    #[test]
    fn what_doubles_with_each_name_is_refused() {
        let tables = chain(14, |before| {
            format!("SELECT x.c FROM {before} x, {before} y")
        });
        assert!(refused(&tables).unwrap().contains("tables"));
        let columns = chain(20, |before| format!("SELECT c || c AS c FROM {before}"));
        assert!(refused(&columns).unwrap().contains("columns"));
        let nested = (0..20).fold("spans".to_owned(), |of, _| {
            format!("(SELECT name + name AS name FROM {of})")
        });
        assert!(refused(&format!("SELECT name FROM {nested}")).is_some());
    }
}
