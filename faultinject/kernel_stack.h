#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "assay/backend/kernel.h"
#include "assay/backend/result.h"
#include "assay/faultinject/fault_kernel.h"
#include "assay/faultinject/fault_plan.h"
#include "assay/mocks/profile.h"

namespace assay {

class SimKernel;

/// A kernel's spelling, taken apart: `linux`, or `sim:PROFILE(-BIT|+BIT)*[,live][,real-clock][,strict][,seed=N]`.
struct KernelSpec {
  struct BitChange {
    std::string bit;
    bool on = false;
    friend bool operator==(const BitChange&, const BitChange&) = default;
  };

  bool simulated = false;
  /// The rest belongs to simulated kernels.
  std::string profile = {};
  std::vector<BitChange> bits = {};
  /// Implies the real clock.
  bool live = false;
  bool real_clock = false;
  bool strict = false;
  /// 0 makes every choice the usual one.
  std::uint64_t seed = 0;

  friend bool operator==(const KernelSpec&, const KernelSpec&) = default;
};

/// Reads a spelling. EINVAL with one line that names the offending part and what would be right; bits are checked when
/// the kernel is opened.
Result<KernelSpec> parse_kernel_spec(std::string_view text);

/// The profile of that kernel: the running one is asked what it offers; a simulated one has its own, bits given and
/// taken included. EINVAL with one line where there is none such.
Result<Profile> profile_of(const KernelSpec& spec);

/// Writes the spelling, which parses back to an equal KernelSpec.
std::string format_kernel_spec(const KernelSpec& spec);

/// The options that programs, tests and reports have in common: --kernel, --plan, --seed, --trace.
struct KernelStackOptions {
  /// The kernel's spelling.
  std::string kernel = "linux";
  /// A fault plan's text (fault_plan.h); empty is none.
  std::string plan = {};
  /// The seed of the simulated kernel and of the plan, where their texts give none.
  std::optional<std::uint64_t> seed = {};
  /// The file that every call, SQE and CQE is written to; "-" is standard error, empty is none.
  std::string trace = {};
};

/// A kernel with its layers: LinuxKernel or SimKernel, below a FaultKernel where there is a plan or libfiu is on, below
/// a TraceKernel where there is a trace. Owns all of them, and must outlive every ring on them.
class KernelStack {
 public:
  ~KernelStack();
  KernelStack(const KernelStack&) = delete;
  KernelStack& operator=(const KernelStack&) = delete;

  /// The kernel to use.
  Kernel& top() noexcept;
  /// The kernel's canonical spelling, seed included.
  std::string name() const;
  const KernelSpec& spec() const noexcept;
  /// The plan with the seed that it runs on: what a failing run prints.
  const FaultPlan& plan() const noexcept;
  /// Null where there is no such layer.
  SimKernel* sim() noexcept;
  FaultKernel* faults() noexcept;
  /// What fired so far; empty without a fault layer.
  FaultReport report() const;
  /// The options that repeat this run: "--kernel sim:linux-6.12.0,seed=3 --plan enter/eintr:nth=2".
  std::string replay_options() const;

 private:
  struct Layers;

  friend Result<std::unique_ptr<KernelStack>> open_kernel_stack(const KernelStackOptions& options);
  explicit KernelStack(std::unique_ptr<Layers> layers);

  std::unique_ptr<Layers> layers_;
};

/// Opens the kernel that the options name. EINVAL with one line for what a person misspelled, or for a plan that asks
/// for more than this kernel can truthfully do; nothing is left half-done.
Result<std::unique_ptr<KernelStack>> open_kernel_stack(const KernelStackOptions& options = {});

}  // namespace assay
