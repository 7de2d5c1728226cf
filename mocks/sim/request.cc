#include "assay/mocks/sim/request.h"

namespace assay::internal {

void RequestPool::grow() {
  constexpr std::size_t kBlock = 64;
  blocks_.push_back(std::make_unique<Request[]>(kBlock));
  for (std::size_t index = kBlock; index-- > 0;) {
    blocks_.back()[index].next = free_;
    free_ = &blocks_.back()[index];
  }
}

}  // namespace assay::internal
