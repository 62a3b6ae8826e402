//! Why a statement was not answered: whether it, its bounds, or the disk is to blame.

use std::{error::Error, io, iter, time::Duration};

use arrow::error::ArrowError;
use datafusion::error::DataFusionError;

use super::MEMORY_BYTES_MAX;
use crate::ClickHouseError;

/// The words with which DataFusion begins what is wrong with a filter that it gave to a segment's reader.
const FILTER_FAILED: &str = "Error evaluating filter predicate";

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
    /// What it needed beyond that found no room where temporary files are.
    #[error(
        "the statement needs more memory than statements may have, and there is no room for the rest among the system's temporary files: {0}"
    )]
    Room(String),
    /// ClickHouse, where older rows are kept, did not do what was asked of it.
    #[error(transparent)]
    Elsewhere(#[from] ClickHouseError),
    /// It failed while it ran.
    #[error("the statement failed: {0}")]
    Failed(String),
}

impl From<DataFusionError> for QueryError {
    fn from(error: DataFusionError) -> Self {
        if let Some(full) = no_room(&error) {
            return Self::Room(full.to_string());
        }
        if let DataFusionError::External(root) = error.find_root()
            && let Some(root) = root.downcast_ref::<ClickHouseError>()
        {
            return Self::Elsewhere(root.clone());
        }
        match error.find_root() {
            DataFusionError::ResourcesExhausted(_) => Self::Memory,
            root if is_of_statement(root) || is_of_filter(root) => {
                Self::Statement(error.strip_backtrace())
            }
            _ => Self::Failed(error.strip_backtrace()),
        }
    }
}

/// The system's word that there is no room, where that is what an error came of: statements write nothing but temporary files.
fn no_room(error: &DataFusionError) -> Option<&io::Error> {
    let first: &(dyn Error + 'static) = error;
    let mut causes = iter::successors(Some(first), |&error| error.source());
    causes.find_map(|cause| {
        let error = cause.downcast_ref::<io::Error>()?;
        let is_full = matches!(
            error.kind(),
            io::ErrorKind::StorageFull
                | io::ErrorKind::QuotaExceeded
                | io::ErrorKind::ReadOnlyFilesystem
        );
        is_full.then_some(error)
    })
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

/// Whether a filter of the statement failed where a segment is read, which its reader tells in words alone, as what is wrong with a file.
fn is_of_filter(error: &DataFusionError) -> bool {
    let words = match error {
        DataFusionError::ParquetError(error) => error.to_string(),
        DataFusionError::ArrowError(error, _) => error.to_string(),
        _ => return false,
    };
    words.contains(FILTER_FAILED)
}

impl From<ArrowError> for QueryError {
    fn from(error: ArrowError) -> Self {
        Self::Failed(error.to_string())
    }
}
