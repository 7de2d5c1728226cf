// What registering files and registering buffers have in common: tags, and the forms of the arguments.

#include <cerrno>

#include "assay/mocks/sim/ring.h"
#include "assay/mocks/sim/user_memory.h"

namespace assay::internal {

Tag::~Tag() {
  if (value_ != 0) ring_->tell_tag(value_);
}

void SimRing::tell_tag(std::uint64_t tag) {
  if (closing_) return;  // nobody is there to be told
  post_message({tag, 0, 0, {0, 0}});
}

/// Before 6.13 a tag is told only when its slot changes.
bool SimRing::tells_tags_of_gone_tables() { return world_.semantics().tags_of_gone_tables; }

/// Before 6.13 a table goes only when nobody uses anything in it (io_rsrc_ref_quiesce).
bool SimRing::must_wait_to_register(unsigned opcode) const {
  const bool unregisters = (opcode == IORING_UNREGISTER_FILES && files_.exists()) ||
                           (opcode == IORING_UNREGISTER_BUFFERS && !buffers_.empty());
  return unregisters && !world_.semantics().tags_of_gone_tables && resources_.in_use();
}

int SimRing::read_resources(const void* arg, unsigned bytes, io_uring_rsrc_register* request) {
  if (bytes != sizeof *request) return -EINVAL;
  if (!copy_from_user(request, arg, sizeof *request)) return -EFAULT;
  if (request->nr == 0 || request->resv2 != 0) return -EINVAL;
  if (request->flags & ~(world_.is_since(5, 19) ? IORING_RSRC_REGISTER_SPARSE : 0u)) return -EINVAL;
  return (request->flags & IORING_RSRC_REGISTER_SPARSE) != 0 && request->data != 0 ? -EINVAL : 0;
}

int SimRing::read_resource_update(const void* arg, unsigned bytes, io_uring_rsrc_update2* update) {
  if (bytes != sizeof *update) return -EINVAL;
  if (!copy_from_user(update, arg, sizeof *update)) return -EFAULT;
  return update->nr == 0 || update->resv != 0 || update->resv2 != 0 ? -EINVAL : 0;
}

}  // namespace assay::internal
