#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "assay/backend/ring.h"

/// What suites do with the table of registered buffers.
namespace assay::conformance {

iovec part_of(char* from, std::size_t bytes);
/// Makes this the one registered buffer, or ends the body.
void register_buffer(Ring& ring, char* memory, std::size_t bytes);
/// READ_FIXED at the start of the file.
int read_fixed(Ring& ring, int fd, char* to, unsigned bytes, int index);
/// IORING_REGISTER_BUFFERS2 with a tag for each buffer; 0 is none.
int register_tagged(Ring& ring, const std::vector<iovec>& buffers, const std::vector<std::uint64_t>& tags);
/// IORING_REGISTER_BUFFERS_UPDATE.
int update_buffers(Ring& ring, std::uint32_t offset, const std::vector<iovec>& buffers,
                   const std::vector<std::uint64_t>& tags = {});

}  // namespace assay::conformance
