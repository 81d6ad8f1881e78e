//! The detected format of a file, as data and as text.

use std::fmt::{self, Display, Formatter};

use serde::Serialize;

use crate::encoding::Encoding;
use crate::form::Form;
use crate::packing::Packing;

/// The detected format of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Shape {
    /// The form of the lines.
    pub form: Form,
    /// The packing of the lines.
    pub packing: Packing,
    /// The encoding of the characters.
    pub encoding: Encoding,
}

impl Display for Shape {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let form = match self.form {
            Form::Clean => "the clean form",
            Form::Original => "the original form",
        };
        let packing = match self.packing {
            Packing::Plain => "CSV",
            Packing::Gzip => "CSV in gzip",
            Packing::Zstandard => "CSV in Zstandard",
            Packing::Workbook => "workbook",
        };
        let encoding = match self.encoding {
            Encoding::Utf8 => "",
            Encoding::Windows1252 => ", in Windows-1252",
        };
        write!(f, "{form}, {packing}{encoding}")
    }
}
