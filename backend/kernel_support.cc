#include "assay/backend/kernel_support.h"

#include <cstddef>
#include <vector>

#include "assay/backend/uapi_names.h"

namespace assay::internal {
namespace {

// The oldest upstream release that reports these features.
KernelVersion oldest_release(unsigned features) {
  KernelVersion oldest{5, 1};
  for (const NamedValue& feature : uapi_table(UapiClass::kFeature)) {
    if ((features & feature.value) != 0 && feature.since > oldest) oldest = feature.since;
  }
  return oldest;
}

std::bitset<256> opcodes_of_release(KernelVersion release) {
  std::bitset<256> opcodes;
  for (const NamedValue& opcode : uapi_table(UapiClass::kOpcode)) {
    if (opcode.since <= release) opcodes.set(opcode.value);
  }
  return opcodes;
}

bool probe_opcodes(Ring& ring, std::bitset<256>& opcodes) {
  constexpr unsigned kOps = 256;
  std::vector<std::byte> memory(sizeof(io_uring_probe) + kOps * sizeof(io_uring_probe_op));
  auto* probe = reinterpret_cast<io_uring_probe*>(memory.data());
  if (ring.register_probe(probe, kOps) < 0) return false;
  for (unsigned index = 0; index < probe->ops_len && index < kOps; ++index) {
    if ((probe->ops[index].flags & IO_URING_OP_SUPPORTED) != 0) opcodes.set(probe->ops[index].op);
  }
  return true;
}

}  // namespace

KernelSupport find_kernel_support(Ring& ring) {
  KernelSupport support;
  support.features = ring.features();
  if (!probe_opcodes(ring, support.opcodes)) support.opcodes = opcodes_of_release(oldest_release(ring.features()));
  support.keeps_overflow = (ring.features() & IORING_FEAT_NODROP) != 0;
  // IORING_SQ_CQ_OVERFLOW has no feature of its own; POLL_32BITS came one release later.
  support.says_that_it_overflows = (ring.features() & IORING_FEAT_POLL_32BITS) != 0;
  // No feature says so; SOCKET came with the same release.
  support.says_that_it_dropped = support.has(IORING_OP_SOCKET);
  support.skips_success_cqes = (ring.features() & IORING_FEAT_CQE_SKIP) != 0;
  support.waits_for_readiness = (ring.features() & IORING_FEAT_FAST_POLL) != 0;
  support.knows_current_position = (ring.features() & IORING_FEAT_RW_CUR_POS) != 0;
  // Multishot poll has no feature of its own; IORING_FEAT_RSRC_TAGS came with the same release.
  support.multishot_poll = (ring.features() & IORING_FEAT_RSRC_TAGS) != 0 && support.keeps_overflow;
  return support;
}

}  // namespace assay::internal
