#pragma once

#include <string>

#include "assay/backend/kernel.h"
#include "assay/backend/result.h"
#include "assay/mocks/profile.h"

namespace assay {

/// Finds out what a kernel offers and how it behaves, by asking it (features, REGISTER_PROBE) where it tells and by
/// short trials where it does not. What could not be tried is taken from the upstream release and listed in
/// `Profile::assumed`. The release is uname's for the running kernel; for others it is the oldest that has all that was
/// found.
///
/// Works on any Kernel. Takes some tens of milliseconds on Linux, waits for nothing longer than a second, and leaves
/// nothing behind: it runs in a thread of its own, so that not even the caller's io_uring workers are touched.
///
/// Fails with what io_uring_setup said where no ring can be had at all: ENOSYS, EPERM, ENOMEM, EMFILE.
Result<Profile> probe(Kernel& kernel, std::string name);

}  // namespace assay
