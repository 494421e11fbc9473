//! Functions of shared libraries of the machine, found at run time: their owner keeps them up to
//! date, and nothing is needed to build against them.

use std::ffi::{c_void, CStr};
use std::fmt;

/// What only the library looks inside.
pub(crate) type Opaque = *mut c_void;

/// Why DTLS, or a version of it, is not to be had: one line for the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble(pub String);

impl fmt::Display for Trouble {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for Trouble {}

/// Loads a library for good; `None` where the machine lacks it.
pub(crate) fn open(file: &CStr) -> Option<Opaque> {
    // SAFETY: loading runs the constructors of a library that belongs to the system.
    let handle = unsafe { libc::dlopen(file.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
    (!handle.is_null()).then_some(handle)
}

/// A function of a library or of those that it needs; `name` ends with a zero.
pub(crate) fn symbol(handle: Opaque, name: &'static str) -> Result<Opaque, Trouble> {
    // SAFETY: the handle is that of a library that is never closed; the name ends with a zero.
    let symbol = unsafe { libc::dlsym(handle, name.as_ptr().cast()) };
    if symbol.is_null() {
        let name = name.trim_end_matches('\0');
        return Err(Trouble(format!("the library has no {name}")));
    }
    Ok(symbol)
}

/// A struct `Library` that holds functions by their own names, and `find`, which fills it.
macro_rules! library {
    ($($name:ident: fn($($argument:ty),*) $(-> $result:ty)?;)*) => {
        /// The library's functions by their own names.
        #[allow(non_snake_case)]
        pub(crate) struct Library {
            $(pub(crate) $name: unsafe extern "C" fn($($argument),*) $(-> $result)?,)*
        }

        impl Library {
            fn find(handle: $crate::loading::Opaque) -> Result<Self, $crate::loading::Trouble> {
                Ok(Self {
                    $($name: {
                        let name = concat!(stringify!($name), "\0");
                        let symbol = $crate::loading::symbol(handle, name)?;
                        // SAFETY: a function of this name has this signature in every version of
                        // the library that has this file name.
                        unsafe {
                            std::mem::transmute::<
                                $crate::loading::Opaque,
                                unsafe extern "C" fn($($argument),*) $(-> $result)?,
                            >(symbol)
                        }
                    },)*
                })
            }
        }
    };
}

pub(crate) use library;
