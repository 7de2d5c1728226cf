#pragma once

#include <memory>
#include <mutex>
#include <ostream>
#include <string>

#include "assay/backend/kernel.h"
#include "assay/faultinject/ring_view.h"
#include "assay/faultinject/trace_text.h"

namespace assay {

/// Any Kernel, with every call, SQE and CQE written as text.
///
/// The text diffs well: it holds no addresses and no times of day. Buffers are named in the order in which they are
/// first seen (`buffer1`), and so is user_data that is no small number, since programs keep pointers there (`data1`).
/// Over a stepped simulated kernel the same program gives the same text.
///
///     enter ring=5 to_submit=2 min_complete=1 flags=GETEVENTS
///       sqe 0 READ fd=7 off=0 addr=buffer1 len=4096 user_data=1
///       sqe 1 NOP user_data=2
///       = 2
///       cqe 0 user_data=2 res=0
///
/// A call's line and its SQEs are written before the call, so that one that never returns can be seen; its result after
/// it. SQEs are those that the call offers; how many were taken is the result. CQEs stand under the call at whose begin
/// or end they were first seen; the numbers are positions in the SQ and CQ. `relax` is written only when it brought
/// CQEs. Safe for threads; the lines of two threads may alternate.
class TraceKernel final : public Kernel {
 public:
  /// Both must outlive the TraceKernel.
  TraceKernel(Kernel& base, std::ostream& out);

  int setup(unsigned entries, io_uring_params* params) override;
  int enter(int ring_fd, unsigned to_submit, unsigned min_complete, unsigned flags, const void* arg,
            std::size_t arg_bytes) override;
  int register_op(int ring_fd, unsigned opcode, void* arg, unsigned nr_args) override;
  int map(int ring_fd, std::uint64_t offset, std::size_t bytes, void** address) override;
  int unmap(void* address, std::size_t bytes) override;
  int close(int ring_fd) override;
  int now(clockid_t clock, timespec* time) override;
  int wait_readable(int ring_fd, const timespec* timeout) override;
  void relax(int ring_fd) override;
  /// The base's.
  std::string name() const override { return base_.name(); }

 private:
  struct TraceRing : RingView {
    using RingView::RingView;
    std::uint32_t sq_seen = 0;  // under SQPOLL: SQEs before this position were written
    std::uint32_t cq_seen = 0;  // CQEs before this position were written
  };

  std::string new_sqes(TraceRing& ring, unsigned to_submit);
  std::string new_cqes(TraceRing& ring);
  void begin(const std::string& call, TraceRing* ring, unsigned to_submit);
  int end(int result, TraceRing* ring);

  Kernel& base_;
  std::ostream& out_;
  std::mutex mutex_;  // of everything below, of the text and of the positions in rings
  TraceNames names_;
  RingViews<TraceRing> rings_;
};

}  // namespace assay
