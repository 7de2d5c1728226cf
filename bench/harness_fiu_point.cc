// What it costs to pass a fault point at which nothing fires: when libfiu is not asked, which is how programs run that
// do not set ASSAY_FIU=1, and when it is.

#include <memory>
#include <string>

#define FIU_ENABLE  // without it the header turns every question into 0
#include <fiu-control.h>
#include <fiu.h>

#include "assay/bench/harness.h"
#include "assay/bench/setup.h"
#include "assay/faultinject/fault_points.h"
#include "assay/faultinject/fault_schedule.h"
#include "assay/faultinject/live_control.h"

namespace assay::bench {
namespace {

constexpr unsigned kPointsAtATime = 10'000;
constexpr FaultPointId kPoint = FaultPointId::kEnterEintr;

/// The point is enabled while this lives, and never fires.
class EnabledAtProbabilityZero {
 public:
  EnabledAtProbabilityZero() {
    live_control_start();
    if (fiu_enable_random(name().c_str(), 1, nullptr, 0, 0) != 0) give_up("fiu_enable_random", EINVAL);
  }
  EnabledAtProbabilityZero(const EnabledAtProbabilityZero&) = delete;
  EnabledAtProbabilityZero& operator=(const EnabledAtProbabilityZero&) = delete;
  ~EnabledAtProbabilityZero() { fiu_disable(name().c_str()); }

 private:
  static std::string name() { return std::string(fault_point(kPoint).name); }
};

enum class Asked { kNo, kDisabled, kProbabilityZero };

/// As a FaultKernel passes it: counted, held against a plan, which is empty here, and put to libfiu.
class Crossings final : public Path {
 public:
  explicit Crossings(Asked asked) : schedule_({}, asked != Asked::kNo) {
    if (asked == Asked::kProbabilityZero) enabled_ = std::make_unique<EnabledAtProbabilityZero>();
  }

  Ran run(std::uint64_t rounds) override {
    for (std::uint64_t i = 0; i < rounds; ++i) {
      if (schedule_.cross({.point = kPoint})) give_up("a fault that nobody asked for", EIO);
    }
    return {.operations = rounds};
  }

 private:
  FaultSchedule schedule_;
  std::unique_ptr<EnabledAtProbabilityZero> enabled_;
};

/// libfiu's part of that.
class Questions final : public Path {
 public:
  explicit Questions(Asked asked) {
    live_control_start();
    if (asked == Asked::kProbabilityZero) enabled_ = std::make_unique<EnabledAtProbabilityZero>();
  }

  Ran run(std::uint64_t rounds) override {
    const FaultPoint& point = fault_point(kPoint);
    for (std::uint64_t i = 0; i < rounds; ++i) {
      if (live_control_asks(point) != 0) give_up("a fault that nobody asked for", EIO);
    }
    return {.operations = rounds};
  }

 private:
  std::unique_ptr<EnabledAtProbabilityZero> enabled_;
};

}  // namespace

void add_fiu_point(BenchList& list) {
  const auto add = [&list](const char* setup, const char* path, std::function<Result<std::unique_ptr<Path>>()> make) {
    list.add({.name = {.chapter = "harness", .work = "fiu_point", .setup = setup, .path = path, .size_name = "points"},
              .quick = true,
              .rounds_at_a_time = kPointsAtATime,
              .make = std::move(make)});
  };
  add("crossing", "not asked", make_path<Crossings>(Asked::kNo));
  add("crossing", "disabled", make_path<Crossings>(Asked::kDisabled));
  add("crossing", "probability 0", make_path<Crossings>(Asked::kProbabilityZero));
  add("fiu_fail", "disabled", make_path<Questions>(Asked::kDisabled));
  add("fiu_fail", "probability 0", make_path<Questions>(Asked::kProbabilityZero));
}

}  // namespace assay::bench
