//! What stands against a configuration on this machine, for a person and for readers of JSON.

use core::fmt;

use crate::admin::Told;
use crate::config::Complaint;

/// Why the gate does not start, or goes on with the configuration before; each with its cure.
#[derive(Debug)]
pub enum Fault {
    /// Something in the configuration does not fit this machine.
    Complaint(Complaint),
    /// The machine does not let us.
    Machine(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Complaint(complaint) => complaint.fmt(out),
            Self::Machine(text) => out.write_str(text),
        }
    }
}

impl Fault {
    /// The same for readers of JSON.
    pub(super) fn told(&self) -> Told {
        match self {
            Self::Complaint(complaint) => complaint.into(),
            Self::Machine(text) => {
                let (problem, cure) = text.split_once("; cure: ").unwrap_or((text, ""));
                Told {
                    place: None,
                    key: String::new(),
                    problem: problem.to_owned(),
                    cure: cure.to_owned(),
                }
            }
        }
    }
}
