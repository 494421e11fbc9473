//! Memory that does not move, for structures that the kernel is handed pointers into.

use std::alloc::{alloc_zeroed, dealloc, handle_alloc_error, Layout};
use std::ptr::NonNull;

const PAGE: usize = 4096;

/// Types for which all bytes zero is a value and which need no drop.
///
/// # Safety
/// Both must hold for the implementing type.
pub(crate) unsafe trait Plain: Copy {}

// SAFETY: an integer.
unsafe impl Plain for u8 {}
// SAFETY: a pointer that may be null and a length.
unsafe impl Plain for libc::iovec {}
// SAFETY: pointers that may be null, and integers.
unsafe impl Plain for libc::mmsghdr {}

/// A zeroed array at a place that stays the same; pages are taken from the system when touched.
pub(crate) struct Fixed<T: Plain> {
    root: NonNull<T>,
    layout: Layout,
    length: usize,
}

// SAFETY: `Fixed` owns its memory alone, as a `Box<[T]>` does; `T` is plain memory, and pointers
// in it are followed only in calls that hold `&mut` to their owner.
unsafe impl<T: Plain> Send for Fixed<T> {}

impl<T: Plain> Fixed<T> {
    /// `length` zeroed elements (at least one), beginning at a page.
    pub(crate) fn new(length: usize) -> Self {
        let layout = Layout::array::<T>(length.max(1))
            .and_then(|layout| layout.align_to(PAGE))
            .unwrap_or_else(|_| panic!("an array longer than the address space"));
        // SAFETY: the layout is not empty: `length` is at least 1 and no `Plain` type has size 0.
        let root = unsafe { alloc_zeroed(layout) }.cast::<T>();
        let Some(root) = NonNull::new(root) else {
            handle_alloc_error(layout)
        };
        Self {
            root,
            layout,
            length,
        }
    }

    /// A pointer to an element, good for as long as `self` lives.
    pub(crate) fn pointer(&self, index: usize) -> *mut T {
        assert!(index < self.length);
        // SAFETY: inside the allocation, by the line above.
        unsafe { self.root.as_ptr().add(index) }
    }

    /// All elements.
    pub(crate) fn all(&self) -> &[T] {
        // SAFETY: `length` elements lie there, zeroed at birth, and zero is a value of `T`. The
        // kernel and `all_mut` write to them only while somebody holds `&mut self`.
        unsafe { std::slice::from_raw_parts(self.root.as_ptr(), self.length) }
    }

    /// All elements, to be written.
    pub(crate) fn all_mut(&mut self) -> &mut [T] {
        // SAFETY: as in `all`, and `&mut self` makes this the only reference.
        unsafe { std::slice::from_raw_parts_mut(self.root.as_ptr(), self.length) }
    }
}

impl<T: Plain> Drop for Fixed<T> {
    fn drop(&mut self) {
        // SAFETY: allocated by `alloc_zeroed` with this very layout, and freed once.
        unsafe { dealloc(self.root.as_ptr().cast(), self.layout) }
    }
}
