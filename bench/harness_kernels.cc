// What a Kernel costs a request: NOPs through Ring over the running kernel and over a simulated one, bare and below
// each layer that `assay sweep` and `--trace` put in between.

#include <fstream>
#include <utility>

#include "assay/bench/assay_ring.h"
#include "assay/bench/harness.h"
#include "assay/faultinject/fault_kernel.h"
#include "assay/faultinject/ledger.h"
#include "assay/faultinject/trace_kernel.h"
#include "assay/mocks/profile.h"
#include "assay/mocks/sim_kernel.h"

namespace assay::bench {
namespace {

constexpr const char* kProfile = "linux-6.12.0";

enum class Base { kLinux, kSimulated, kStrict };
enum class Layer { kNone, kFault, kTrace, kLedger };

/// A kernel below at most one layer.
class Stack {
 public:
  Stack(Base base, Layer layer) {
    if (base != Base::kLinux) {
      sim_ =
          std::make_unique<SimKernel>(SimOptions{.profile = *find_profile(kProfile), .strict = base == Base::kStrict});
    }
    switch (layer) {
      case Layer::kNone:
        break;
      case Layer::kFault: {
        // Whatever the environment says: libfiu has a row of its own.
        auto kernel = FaultKernel::create(bottom(), FaultPlan{}, {.ask_libfiu = false});
        if (!kernel) give_up(kernel.error().detail, kernel.error().code.value());
        layer_ = std::move(*kernel);
        break;
      }
      case Layer::kTrace:
        // The text is made and written, to nowhere.
        null_.open("/dev/null");
        layer_ = std::make_unique<TraceKernel>(bottom(), null_);
        break;
      case Layer::kLedger:
        layer_ = std::make_unique<LedgerKernel>(bottom());
        break;
    }
  }
  Kernel& top() { return layer_ ? *layer_ : bottom(); }

 private:
  Kernel& bottom() { return sim_ ? static_cast<Kernel&>(*sim_) : LinuxKernel::instance(); }

  std::unique_ptr<SimKernel> sim_;
  std::ofstream null_;
  std::unique_ptr<Kernel> layer_;
};

class NopsOnKernel final : public Path {
 public:
  static Result<std::unique_ptr<Path>> create(Base base, Layer layer, unsigned batch) {
    auto stack = std::make_unique<Stack>(base, layer);
    auto ring = AssayRing::create(batch, 2 * batch, kPlainRing, stack->top());
    if (!ring) return ring.error();
    return std::unique_ptr<Path>(new NopsOnKernel(std::move(stack), std::move(*ring), batch));
  }

  Ran run(std::uint64_t rounds) override {
    for (std::uint64_t i = 0; i < rounds; ++i) round();
    return {.operations = rounds * batch_, .cqes = rounds * batch_};
  }

 private:
  NopsOnKernel(std::unique_ptr<Stack> stack, std::unique_ptr<AssayRing> ring, unsigned batch)
      : stack_(std::move(stack)), ring_(std::move(ring)), batch_(batch) {}

  void round() {
    for (unsigned i = 0; i < batch_; ++i) io_uring_prep_nop(ring_->sqe());
    unsigned succeeded = 0;
    ring_->turn(batch_, [&succeeded](const io_uring_cqe& cqe) { succeeded += cqe.res == 0 ? 1 : 0; });
    if (succeeded != batch_) give_up("a NOP", EIO);
  }

  std::unique_ptr<Stack> stack_;
  std::unique_ptr<AssayRing> ring_;
  unsigned batch_;
};

struct Row {
  const char* path;
  Base base;
  Layer layer;
};

}  // namespace

void add_kernels(BenchList& list) {
  constexpr Row kOverLinux[] = {
      {"LinuxKernel", Base::kLinux, Layer::kNone},
      {"FaultKernel", Base::kLinux, Layer::kFault},
      {"TraceKernel", Base::kLinux, Layer::kTrace},
      {"LedgerKernel", Base::kLinux, Layer::kLedger},
  };
  constexpr Row kOverSimulation[] = {
      {"SimKernel", Base::kSimulated, Layer::kNone},
      {"SimKernel, strict", Base::kStrict, Layer::kNone},
      {"FaultKernel", Base::kSimulated, Layer::kFault},
      {"LedgerKernel", Base::kSimulated, Layer::kLedger},
  };
  const auto add = [&list](const char* work, const char* setup, const Row& row, unsigned batch) {
    list.add({.name = {.chapter = "harness",
                       .work = work,
                       .setup = setup,
                       .path = row.path,
                       .size_name = "batch",
                       .size = batch},
              .quick = batch == 32,
              .make = [=] { return NopsOnKernel::create(row.base, row.layer, batch); }});
  };
  for (const unsigned batch : {1U, 8U, 32U}) {
    for (const Row& row : kOverLinux) add("kernels", "plain", row, batch);
  }
  for (const unsigned batch : {1U, 32U}) {
    for (const Row& row : kOverSimulation) add("sim_kernel", kProfile, row, batch);
  }
}

}  // namespace assay::bench
