//! The kernel program, run by the kernel on crafted packets (`BPF_PROG_TEST_RUN`): exact octets and
//! every verdict. Needs root, for a network namespace and for BPF; where the kernel forbids either
//! the tests say so and pass.

mod accounts;
mod forwarded;
mod frame;
mod left;
mod rig;
mod speed;
