//! The Python binding: translation between Python values and the words of `ferryman-flow` and
//! `ferryman-udp`. Decides nothing.

mod address;
mod command;
mod datapath;
mod gate;
mod os_error;
mod served;
mod table;

use pyo3::prelude::*;

#[pymodule]
mod _native {
    #[pymodule_export]
    use super::datapath::Datapath;
    #[pymodule_export]
    use super::gate::Gate;
    #[pymodule_export]
    use super::table::Table;
}
