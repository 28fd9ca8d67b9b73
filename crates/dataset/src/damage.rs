use std::{error::Error, fmt, io};

use crate::problem::Problem;

/// What is wrong with a file's bytes, as its decoders say it to what reads rows: an I/O error that carries a
/// problem, which becomes a finding once the row is known.
#[derive(Clone, Debug)]
pub(crate) struct Damage(pub(crate) Problem);

impl Damage {
    /// Damage that the next row begins in or lies behind.
    pub(crate) fn of_row(problem: Problem) -> io::Error {
        io::Error::other(Self(problem))
    }

    /// Tells whether an error is damage and no failure of the system.
    pub(crate) fn is(error: &io::Error) -> bool {
        error.get_ref().is_some_and(|inner| inner.is::<Self>())
    }

    /// Damage that takes no row away: all that was read before it stands.
    pub(crate) fn of_file(problem: Problem) -> io::Error {
        io::Error::other(Self(problem.of_file()))
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0.found)
    }
}

impl Error for Damage {}
