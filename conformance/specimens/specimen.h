#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "assay/conformance/specimens/small_loop.h"
#include "assay/conformance/specimens/transfer_job.h"
#include "assay/conformance/specimens/trial.h"
#include "assay/faultinject/scenario.h"

namespace assay::conformance {

/// A small loop with exactly one defect, which real programs had, and the same loop without it: its twin. A sweep has
/// to condemn the one and to find nothing about the other, which measures the sweep.
struct Specimen {
  std::string name;
  /// The bugs of docs/bugs.md that are this defect.
  std::vector<std::string> rows;
  /// What it does wrongly, in a sentence.
  std::string defect;
  /// The trial that it is put to.
  std::string trial;
  /// The trial with this loop as its doer: with the defect, or the twin.
  std::function<Scenario(bool defect)> make;
  /// The kernel that it is swept on.
  std::string kernel = "sim:linux-6.18,strict";
};

std::span<const Specimen> specimens();
/// The one of that name, or null.
const Specimen* find_specimen(std::string_view name);
/// What is swept under that name: a specimen, its twin ("NAME-twin"), or a trial on the reference backend.
std::optional<Scenario> find_specimen_scenario(std::string_view name);

namespace internal {

// Each class of defects has a file of its name.
void add_capability_specimens(std::vector<Specimen>& specimens);
void add_cancel_specimens(std::vector<Specimen>& specimens);
void add_cq_overflow_specimens(std::vector<Specimen>& specimens);
void add_descriptor_specimens(std::vector<Specimen>& specimens);
void add_eintr_specimens(std::vector<Specimen>& specimens);
void add_link_specimens(std::vector<Specimen>& specimens);
void add_multishot_specimens(std::vector<Specimen>& specimens);
void add_partial_submit_specimens(std::vector<Specimen>& specimens);
void add_poll_thread_specimens(std::vector<Specimen>& specimens);
void add_provided_buffer_specimens(std::vector<Specimen>& specimens);
void add_refused_submission_specimens(std::vector<Specimen>& specimens);
void add_setup_specimens(std::vector<Specimen>& specimens);
void add_short_transfer_specimens(std::vector<Specimen>& specimens);
void add_timeout_specimens(std::vector<Specimen>& specimens);
void add_zero_copy_specimens(std::vector<Specimen>& specimens);

/// Waits for one timeout after the other: 0, or a negative errno.
int sleep(SmallLoop& loop, unsigned times, std::chrono::nanoseconds each);

/// A specimen whose trial is a check of a doer, which `doer(defect)` makes.
template <typename Doer>
Specimen specimen_of(std::string name, std::vector<std::string> rows, std::string defect, std::string trial,
                     void (*check)(ScenarioRun& run, const Doer& doer), std::function<Doer(bool defect)> doer) {
  const auto make = [name, tells = defect, check, doer = std::move(doer)](bool has_defect) {
    return Scenario{has_defect ? name : name + "-twin", tells,
                    [check, doer, has_defect](ScenarioRun& run) { check(run, doer(has_defect)); }};
  };
  return {name, std::move(rows), std::move(defect), std::move(trial), make};
}

/// One that reads a range with a loop of its own, made as Loop(kernel, defect).
template <typename Loop>
Specimen reading_loop(std::string name, std::vector<std::string> rows, std::string defect) {
  return specimen_of<FileReader>(
      std::move(name), std::move(rows), std::move(defect), "reads-whole", reads_whole, [](bool has_defect) {
        return [has_defect](Kernel& kernel, int fd, std::uint64_t offset, std::span<std::byte> into) {
          Loop loop(kernel, has_defect);
          return TransferJob::read(loop, fd, offset, into).run();
        };
      });
}

/// One that waits for one timeout after the other with a loop of its own.
template <typename Loop>
Specimen sleeping_loop(std::string name, std::vector<std::string> rows, std::string defect) {
  return specimen_of<Sleeper>(std::move(name), std::move(rows), std::move(defect), "sleeps", sleeps,
                              [](bool has_defect) {
                                return [has_defect](Kernel& kernel, unsigned times, std::chrono::nanoseconds each) {
                                  Loop loop(kernel, has_defect);
                                  return sleep(loop, times, each);
                                };
                              });
}

}  // namespace internal

/// A loop that has a defect, or is its twin.
class DefectiveLoop : public SmallLoop {
 public:
  DefectiveLoop(Kernel& kernel, bool defect, const RingOptions& options = {.sq_entries = kSqEntries})
      : SmallLoop(kernel, options), defect_(defect) {}

 protected:
  const bool defect_;
};

}  // namespace assay::conformance
