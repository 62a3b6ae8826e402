//! Whether the parts of an expression fit together (promql/parser/parse.go: checkAST).

use super::super::{
    Fault,
    expression::{Matching, Type},
    functions::Function,
};
use super::{Aggregation, Card, Error, Expression, Operator};

fn wrong(message: impl Into<String>, mend: impl Into<String>) -> Error {
    Error::new(Fault::Query, message, mend)
}

/// Checks all of an expression.
pub(super) fn check(expression: &Expression) -> Result<(), Error> {
    match expression {
        Expression::Number(_)
        | Expression::Text(_)
        | Expression::Vector(_)
        | Expression::Matrix(..) => Ok(()),
        Expression::Paren(of) => check(of),
        Expression::Negative(of) => {
            check(of)?;
            may_have_sign(of)
        }
        Expression::Subquery { of, .. } => {
            check(of)?;
            needs(of, Type::Vector, "a subquery")
        }
        Expression::Call {
            function,
            arguments,
        } => call(function, arguments),
        Expression::Aggregate {
            aggregation,
            parameter,
            of,
            ..
        } => aggregate(*aggregation, parameter.as_deref(), of),
        Expression::Binary {
            operator,
            left,
            right,
            is_bool,
            matching,
        } => {
            check(left)?;
            check(right)?;
            binary(*operator, left, right, *is_bool, matching)
        }
    }
}

/// A sign stands before numbers only.
pub(super) fn may_have_sign(of: &Expression) -> Result<(), Error> {
    match of.result() {
        Type::Scalar | Type::Vector => Ok(()),
        other => Err(wrong(
            format!("{} has no sign", other.name()),
            "leave the sign out",
        )),
    }
}

fn needs(of: &Expression, wanted: Type, what: &str) -> Result<(), Error> {
    let given = of.result();
    // A scalar is no vector: `vector(1)` makes one of it.
    if given == wanted {
        return Ok(());
    }
    let mend = match (wanted, given) {
        (Type::Matrix, Type::Vector) => "give a range: up[5m], or a subquery: (...)[5m:]",
        (Type::Vector, Type::Matrix) => {
            "leave out the range, or take a function of it, such as rate(...)"
        }
        (Type::Vector, Type::Scalar) => "make a vector of it: vector(...)",
        (Type::Scalar, Type::Vector) => "make a scalar of it: scalar(...)",
        _ => "docs/promql.md has the arguments",
    };
    let (wanted, given) = (wanted.name(), given.name());
    Err(wrong(format!("{what} takes {wanted}, not {given}"), mend))
}

fn call(function: &Function, arguments: &[Expression]) -> Result<(), Error> {
    let name = function.name;
    let (least, most) = function.arity();
    if arguments.len() < least || arguments.len() > most {
        let given = arguments.len();
        let message = match most {
            _ if least == most => format!("`{name}` takes {least} arguments, not {given}"),
            usize::MAX => format!("`{name}` takes at least {least} arguments, not {given}"),
            _ => format!("`{name}` takes {least} to {most} arguments, not {given}"),
        };
        return Err(wrong(message, "docs/promql.md has the arguments"));
    }
    for (at, argument) in arguments.iter().enumerate() {
        check(argument)?;
        let wanted = function.argument(at);
        needs(
            argument,
            wanted,
            &format!("argument {} of `{name}`", at + 1),
        )?;
    }
    Ok(())
}

fn aggregate(
    aggregation: Aggregation,
    parameter: Option<&Expression>,
    of: &Expression,
) -> Result<(), Error> {
    let what = format!("`{}`", aggregation.name());
    check(of)?;
    needs(of, Type::Vector, &what)?;
    let (Some(parameter), Some(wanted)) = (parameter, aggregation.parameter()) else {
        return Ok(());
    };
    check(parameter)?;
    needs(parameter, wanted, &format!("the parameter of {what}"))
}

fn binary(
    operator: Operator,
    left: &Expression,
    right: &Expression,
    is_bool: bool,
    matching: &Matching,
) -> Result<(), Error> {
    let name = operator.name();
    let sides = [left.result(), right.result()];
    for side in sides {
        if !matches!(side, Type::Scalar | Type::Vector) {
            let message = format!(
                "`{name}` takes scalars and instant vectors, not {}",
                side.name()
            );
            return Err(wrong(
                message,
                "leave out the range, or take a function of it",
            ));
        }
    }
    let has_scalar = sides.contains(&Type::Scalar);
    if is_bool && !operator.is_comparison() {
        let message = format!("`bool` stands after comparisons, not after `{name}`");
        return Err(wrong(message, "leave `bool` out"));
    }
    if operator.is_comparison() && sides == [Type::Scalar; 2] && !is_bool {
        let message = format!("`{name}` between scalars gives 0 or 1");
        return Err(wrong(message, format!("write `{name} bool`")));
    }
    if operator.is_set() {
        if has_scalar {
            let message = format!("`{name}` is of two instant vectors");
            return Err(wrong(message, "make a vector of a scalar: vector(...)"));
        }
        if matching.card != Card::OneToOne {
            let message = format!("`{name}` takes no group_left and no group_right");
            return Err(wrong(
                message,
                "leave it out: sets match any number of elements",
            ));
        }
    }
    let is_matched = matching.is_on || !matching.labels.is_empty();
    if has_scalar && is_matched {
        let message = "`on` and `ignoring` are of two instant vectors";
        return Err(wrong(message, "leave them out where one side is a scalar"));
    }
    let double = matching
        .include
        .iter()
        .find(|label| matching.is_on && matching.labels.contains(label));
    match double {
        Some(label) => Err(wrong(
            format!("label `{label}` is in `on` and in the group as well"),
            "leave it out of one",
        )),
        None => Ok(()),
    }
}
