#include "assay/backend/kernel_support.h"

#include <cerrno>
#include <cstddef>
#include <memory>
#include <vector>

#include "assay/backend/kernel_ways.h"
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

int probe_opcodes(Ring& ring, std::bitset<256>& opcodes) {
  constexpr unsigned kOps = 256;
  std::vector<std::byte> memory(sizeof(io_uring_probe) + kOps * sizeof(io_uring_probe_op));
  auto* probe = reinterpret_cast<io_uring_probe*>(memory.data());
  if (const int refused = ring.register_probe(probe, kOps); refused < 0) return refused;
  for (unsigned index = 0; index < probe->ops_len && index < kOps; ++index) {
    if ((probe->ops[index].flags & IO_URING_OP_SUPPORTED) != 0) opcodes.set(probe->ops[index].op);
  }
  return 0;
}

}  // namespace

KernelSupport find_kernel_support(Ring& ring) {
  // A kernel whose rings differ in their features is none that was asked before.
  const auto known = std::static_pointer_cast<const KernelSupport>(ring.kernel().remembered());
  if (known != nullptr && known->features == ring.features()) return *known;

  KernelSupport support;
  support.features = ring.features();
  const int answer = probe_opcodes(ring, support.opcodes);
  if (answer < 0) support.opcodes = opcodes_of_release(oldest_release(ring.features()));
  choose_ways(support);
  // A kernel without the probe says EINVAL; any other refusal is of the moment, and nothing to be remembered.
  if (answer >= 0 || answer == -EINVAL) ring.kernel().remember(std::make_shared<const KernelSupport>(support));
  return support;
}

}  // namespace assay::internal
