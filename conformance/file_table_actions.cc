#include "assay/conformance/file_table_actions.h"

#include <vector>

#include "assay/conformance/ring_actions.h"

namespace assay::conformance {

void register_empty_table(Ring& ring, unsigned slots) {
  const std::vector<int> none(slots, -1);
  ASSERT_EQ(ring.register_files(none), 0);
}

std::string slot_content(Ring& ring, unsigned slot) {
  char bytes[4] = {};
  iovec buffer{.iov_base = bytes, .iov_len = sizeof bytes};
  io_uring_sqe& sqe = next_sqe(ring);
  io_uring_prep_readv(&sqe, static_cast<int>(slot), &buffer, 1, 0);
  sqe.flags = IOSQE_FIXED_FILE;
  const int count = run_one(ring).res;
  return count == 4 ? std::string(bytes, 4) : std::to_string(count);
}

int open_direct(Ring& ring, const Folder& folder, const char* name, std::uint32_t slot, int flags) {
  io_uring_sqe& sqe = next_sqe(ring);
  io_uring_prep_openat(&sqe, folder.fd(), name, flags, 0640);
  // (liburing 2.3's function for this adds one even to IORING_FILE_INDEX_ALLOC.)
  sqe.file_index = slot == IORING_FILE_INDEX_ALLOC ? slot : slot + 1;
  return run_one(ring).res;
}

int open_anywhere(Ring& ring, const Folder& folder, const char* name) {
  return open_direct(ring, folder, name, IORING_FILE_INDEX_ALLOC);
}

}  // namespace assay::conformance
