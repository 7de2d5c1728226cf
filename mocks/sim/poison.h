#pragma once

#include <sys/uio.h>

namespace assay::internal {

// What AddressSanitizer knows of memory; nothing happens in a build without it.

/// Makes an access by anybody an error. Memory at its edges that shares eight bytes with other memory is left out.
void poison(const iovec& memory);
/// Takes back what `poison` did, and nothing else: memory that was freed meanwhile stays what it is.
void unpoison(const iovec& memory);
/// Whether all that `poison` did is still there. If not, what it covered was freed, or went out of scope.
bool is_still_poisoned(const iovec& memory);
/// Has AddressSanitizer tell what became of it, and end the process, if it cannot be accessed.
void touch(const iovec& memory);

}  // namespace assay::internal
