//! Why a statement was not answered, and whose fault that is.

use std::time::Duration;

use arrow::error::ArrowError;
use datafusion::error::DataFusionError;

use super::MEMORY_BYTES_MAX;
use crate::ClickHouseError;

/// A statement was not answered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QueryError {
    /// It is not a statement that is understood, or not one that only reads.
    #[error("{0}")]
    Statement(String),
    /// It took longer than it may.
    #[error("the statement took longer than {} s; ask for a shorter time or fewer columns", .0.as_secs_f64())]
    Timeout(Duration),
    /// It needed more memory than statements may have.
    #[error("the statement needs more memory than the {} MiB that statements may have; ask for a shorter time or fewer groups", MEMORY_BYTES_MAX >> 20)]
    Memory,
    /// It failed while it ran.
    #[error("the statement failed: {0}")]
    Failed(String),
}

impl From<DataFusionError> for QueryError {
    fn from(error: DataFusionError) -> Self {
        match error.find_root() {
            DataFusionError::ResourcesExhausted(_) => Self::Memory,
            DataFusionError::External(error) if error.is::<ClickHouseError>() => {
                Self::Failed(error.to_string())
            }
            root if is_of_statement(root) => Self::Statement(error.strip_backtrace()),
            _ => Self::Failed(error.strip_backtrace()),
        }
    }
}

/// Whether an error is what a statement says, and not what is on the disk. Some of it is found only where it is run.
fn is_of_statement(error: &DataFusionError) -> bool {
    match error {
        DataFusionError::SQL(..)
        | DataFusionError::Plan(_)
        | DataFusionError::SchemaError(..)
        | DataFusionError::NotImplemented(_)
        | DataFusionError::Configuration(_)
        | DataFusionError::Execution(_) => true,
        DataFusionError::ArrowError(error, _) => matches!(
            **error,
            ArrowError::ArithmeticOverflow(_)
                | ArrowError::CastError(_)
                | ArrowError::ComputeError(_)
                | ArrowError::DivideByZero
                | ArrowError::InvalidArgumentError(_)
                | ArrowError::NotYetImplemented(_)
                | ArrowError::OffsetOverflowError(_)
                | ArrowError::ParseError(_)
                | ArrowError::SchemaError(_)
        ),
        DataFusionError::Collection(errors) => errors
            .first()
            .is_some_and(|error| is_of_statement(error.find_root())),
        _ => false,
    }
}

impl From<ArrowError> for QueryError {
    fn from(error: ArrowError) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<ClickHouseError> for QueryError {
    fn from(error: ClickHouseError) -> Self {
        Self::Failed(error.to_string())
    }
}
