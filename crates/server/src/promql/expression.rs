//! A query as it is evaluated.

use super::{Matcher, functions::Function};

/// What an expression gives at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    Scalar,
    Text,
    Vector,
    Matrix,
}

impl Type {
    /// As errors name it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Scalar => "a scalar",
            Self::Text => "a string",
            Self::Vector => "an instant vector",
            Self::Matrix => "a range vector",
        }
    }
}

/// To when a selector looks: `@` and `offset`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Shift {
    pub(crate) offset_ms: Option<i64>,
    pub(crate) at: Option<Moment>,
}

/// After `@`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Moment {
    Ms(i64),
    Start,
    End,
}

/// Which series, and when.
#[derive(Clone, Debug)]
pub(crate) struct Selector {
    pub(crate) matchers: Vec<Matcher>,
    pub(crate) shift: Shift,
}

/// What an aggregation does with the values of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Aggregation {
    Sum,
    Avg,
    Min,
    Max,
    Count,
    Group,
    Stddev,
    Stdvar,
    Topk,
    Bottomk,
    Quantile,
    CountValues,
}

impl Aggregation {
    const ALL: [(&'static str, Self); 12] = [
        ("sum", Self::Sum),
        ("avg", Self::Avg),
        ("min", Self::Min),
        ("max", Self::Max),
        ("count", Self::Count),
        ("group", Self::Group),
        ("stddev", Self::Stddev),
        ("stdvar", Self::Stdvar),
        ("topk", Self::Topk),
        ("bottomk", Self::Bottomk),
        ("quantile", Self::Quantile),
        ("count_values", Self::CountValues),
    ];

    pub(crate) fn named(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        let found = Self::ALL.into_iter().find(|(known, _)| *known == name);
        found.map(|(_, aggregation)| aggregation)
    }

    pub(crate) fn name(self) -> &'static str {
        let found = Self::ALL.into_iter().find(|(_, known)| *known == self);
        found.map_or("", |(name, _)| name)
    }

    /// What stands before the expression, if anything has to.
    pub(crate) const fn parameter(self) -> Option<Type> {
        match self {
            Self::Topk | Self::Bottomk | Self::Quantile => Some(Type::Scalar),
            Self::CountValues => Some(Type::Text),
            _ => None,
        }
    }
}

/// `by (...)` or `without (...)`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Grouping {
    pub(crate) is_without: bool,
    pub(crate) labels: Vec<String>,
}

/// What stands between two expressions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operator {
    Or,
    And,
    Unless,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Plus,
    Minus,
    Times,
    Divided,
    Modulo,
    Atan2,
    Power,
}

impl Operator {
    const ALL: [(&'static str, Self); 16] = [
        ("or", Self::Or),
        ("and", Self::And),
        ("unless", Self::Unless),
        ("==", Self::Equal),
        ("!=", Self::NotEqual),
        ("<", Self::Less),
        ("<=", Self::LessOrEqual),
        (">", Self::Greater),
        (">=", Self::GreaterOrEqual),
        ("+", Self::Plus),
        ("-", Self::Minus),
        ("*", Self::Times),
        ("/", Self::Divided),
        ("%", Self::Modulo),
        ("atan2", Self::Atan2),
        ("^", Self::Power),
    ];

    pub(crate) fn named(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        let found = Self::ALL.into_iter().find(|(known, _)| *known == name);
        found.map(|(_, operator)| operator)
    }

    pub(crate) fn name(self) -> &'static str {
        let found = Self::ALL.into_iter().find(|(_, known)| *known == self);
        found.map_or("", |(name, _)| name)
    }

    /// How tightly it binds.
    pub(crate) const fn precedence(self) -> u8 {
        match self {
            Self::Or => 1,
            Self::And | Self::Unless => 2,
            Self::Equal
            | Self::NotEqual
            | Self::Less
            | Self::LessOrEqual
            | Self::Greater
            | Self::GreaterOrEqual => 3,
            Self::Plus | Self::Minus => 4,
            Self::Times | Self::Divided | Self::Modulo | Self::Atan2 => 5,
            Self::Power => 6,
        }
    }

    pub(crate) const fn is_comparison(self) -> bool {
        self.precedence() == 3
    }

    pub(crate) const fn is_set(self) -> bool {
        self.precedence() < 3
    }
}

/// How many elements of one side may meet one of the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Card {
    #[default]
    OneToOne,
    /// `group_left`.
    ManyToOne,
    /// `group_right`.
    OneToMany,
}

/// Which elements of two vectors belong together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Matching {
    pub(crate) card: Card,
    /// `on (...)`; otherwise `ignoring (...)`.
    pub(crate) is_on: bool,
    pub(crate) labels: Vec<String>,
    /// Labels that are taken from the one side.
    pub(crate) include: Vec<String>,
}

/// A query, or a part of one.
#[derive(Clone, Debug)]
pub(crate) enum Expression {
    Number(f64),
    Text(String),
    Vector(Selector),
    /// A selector and its range in milliseconds.
    Matrix(Selector, i64),
    Subquery {
        of: Box<Expression>,
        range_ms: i64,
        /// `None` for the default.
        step_ms: Option<i64>,
        shift: Shift,
    },
    Call {
        function: &'static Function,
        arguments: Vec<Expression>,
    },
    Aggregate {
        aggregation: Aggregation,
        parameter: Option<Box<Expression>>,
        of: Box<Expression>,
        grouping: Grouping,
    },
    Binary {
        operator: Operator,
        left: Box<Expression>,
        right: Box<Expression>,
        is_bool: bool,
        matching: Matching,
    },
    Negative(Box<Expression>),
    Paren(Box<Expression>),
}

impl Expression {
    pub(crate) fn result(&self) -> Type {
        match self {
            Self::Number(_) => Type::Scalar,
            Self::Text(_) => Type::Text,
            Self::Vector(_) | Self::Aggregate { .. } => Type::Vector,
            Self::Matrix(..) | Self::Subquery { .. } => Type::Matrix,
            Self::Call { function, .. } => function.returns,
            Self::Binary { left, right, .. } => match (left.result(), right.result()) {
                (Type::Scalar, Type::Scalar) => Type::Scalar,
                _ => Type::Vector,
            },
            Self::Negative(of) | Self::Paren(of) => of.result(),
        }
    }

    /// Without the parentheses around it.
    pub(crate) fn bare(&self) -> &Self {
        match self {
            Self::Paren(of) => of.bare(),
            other => other,
        }
    }
}
