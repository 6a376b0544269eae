//! What the fuzz targets check. `src/dataset` and `src/domain` are a package of their own, so that neither the web server nor the
//! clients of AWS have to be built to fuzz them.

pub use permitd_model::{dataset, domain};

pub mod checks;
pub mod subject;
pub mod workbook;

use std::alloc::System;

use cap::Cap;

/// More than any input may make the code under test hold at once. Beyond it an allocation fails, which ends the program,
/// and so is found at once and with the input at fault, however briefly the memory is held or whether it is touched.
const ALLOCATED_BYTES_MAX: usize = 96 << 20;

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, ALLOCATED_BYTES_MAX);

/// Takes no panic inside of calamine for a finding. The reader contains it and refuses the file; where it did not, the
/// panic would still reach the target, and end it.
pub fn bear_panics_of_calamine() {
    let otherwise = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !panic.location().is_some_and(|place| place.file().contains("/calamine-")) {
            otherwise(panic);
        }
    }));
}
