//! Signals are for the thread that started the worker.

/// Makes the calling thread receive none.
pub(crate) fn leave_to_others() {
    // SAFETY: a `sigset_t` is integers, for which zero is a value, and `sigfillset` writes it
    // before `pthread_sigmask` reads it; both pointers are good for the calls.
    unsafe {
        let mut all: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&mut all);
        libc::pthread_sigmask(libc::SIG_BLOCK, &all, std::ptr::null_mut());
    }
}
