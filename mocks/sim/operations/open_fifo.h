#pragma once

#include <cstdint>
#include <memory>
#include <utility>

#include "assay/mocks/sim/descriptor.h"
#include "assay/mocks/sim/request.h"

namespace assay::internal {

/// The opening of a FIFO, which waits until its other end is open too, carried out without ever blocking. Follows
/// fifo_open in fs/pipe.c.
class FifoOpening : public OperationState {
 public:
  /// For `found`, which a path led to by O_PATH. Null where that is no FIFO, or where its opening would not wait:
  /// O_RDWR, O_NONBLOCK, O_PATH.
  static std::unique_ptr<FifoOpening> start(Descriptor found, std::uint64_t flags);

  /// The new fd, a negative errno, or -EAGAIN as long as nobody has opened the other end.
  int try_again();

 private:
  FifoOpening(Descriptor fifo, int flags) : fifo_(std::move(fifo)), flags_(flags) {}
  bool has_writer() const;

  Descriptor fifo_;  // by O_PATH
  int flags_;
  /// A reader that waits counts as one, so that writers find it.
  Descriptor reader_;
};

}  // namespace assay::internal
