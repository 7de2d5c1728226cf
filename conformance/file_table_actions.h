#pragma once

#include <cstdint>
#include <string>

#include "assay/backend/ring.h"
#include "assay/conformance/folder.h"

/// What suites do with the table of registered files.
namespace assay::conformance {

/// A table of empty slots; older kernels than 5.19 are given one of fds that are none.
void register_empty_table(Ring& ring, unsigned slots);
/// Four bytes read through a slot, or the error as a number.
std::string slot_content(Ring& ring, unsigned slot);
/// Opens NAME of the folder into a slot (or whichever is free, for IORING_FILE_INDEX_ALLOC).
int open_direct(Ring& ring, const Folder& folder, const char* name, std::uint32_t slot, int flags = O_RDONLY);
int open_anywhere(Ring& ring, const Folder& folder, const char* name);

}  // namespace assay::conformance
