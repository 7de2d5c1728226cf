// Reads that are given up while others go on.

#include <unistd.h>

#include <array>
#include <cerrno>

#include "assay/conformance/scenarios/scenario_loop.h"
#include "assay/conformance/specimens/trial.h"

namespace assay::conformance {
namespace {

constexpr std::size_t kTextBytes = 40;

// Reads of pipes by the reference backend. One that follows another is started when that has ended.
class ReferenceReads {
 public:
  ReferenceReads(Backend& backend, std::span<PipeRead> reads)
      : backend_(backend), reads_(reads), states_(reads.size()) {}

  void run(const std::function<void()>& gave_up) {
    for (std::size_t i = 0; i < reads_.size(); ++i) {
      if (!reads_[i].follows) start(i);
    }
    (void)backend_.submit_outstanding();
    for (std::size_t i = 0; i < reads_.size(); ++i) {
      if (!reads_[i].aborted) continue;
      if (const Result<void> cancelled = backend_.cancel(states_[i].handle); !cancelled) reads_[i].hang_up();
    }
    const auto given_up = [&] {
      for (std::size_t i = 0; i < reads_.size(); ++i) {
        if (reads_[i].aborted && !states_[i].ended) return false;
      }
      return true;
    };
    while (!given_up()) {
      if (!turn()) return;
    }
    gave_up();
    while (turn()) {
    }
  }

 private:
  struct State {
    OperationHandle handle;
    bool ended = false;
  };

  void start(std::size_t i) {
    states_[i].handle = backend_.read(reads_[i].fd, reads_[i].into, kCurrentPosition, [this, i](int res) {
      reads_[i].result = res;
      states_[i].ended = true;
      if (i + 1 < reads_.size() && reads_[i + 1].follows) start(i + 1);
    });
  }
  // False when there is nothing to do any more, or the loop has failed.
  bool turn() {
    const Result<LoopStatus> status = backend_.loop(LoopMode::kOnce);
    if (!status) {
      for (std::size_t i = 0; i < reads_.size(); ++i) {
        if (!states_[i].ended) reads_[i].result = -status.error().code.value();
      }
    }
    return status && *status != LoopStatus::kNoEvents;
  }

  Backend& backend_;
  std::span<PipeRead> reads_;
  std::vector<State> states_;
};

void give_up_by_reference(Kernel& kernel, std::span<PipeRead> reads, const std::function<void()>& gave_up) {
  Result<std::unique_ptr<Backend>> backend = Backend::create(kernel);
  if (!backend) {
    for (PipeRead& read : reads) read.result = -backend.error().code.value();
    return;
  }
  std::vector<PipeRead> own(reads.begin(), reads.end());
  ReferenceReads job(**backend, own);
  job.run(gave_up);
  for (std::size_t i = 0; i < own.size(); ++i) reads[i].result = own[i].result;
  // Its end still tells the callbacks, which write to what is here.
  backend->reset();
}

}  // namespace

void gives_up_some_reads(ScenarioRun& run, const AbortingReader& read) {
  // Which are given up, which have something to read from the beginning, and which follow the one before.
  struct Role {
    bool aborted, has_data, follows;
  };
  constexpr std::array<Role, 4> kRoles = {
      {{true, false, false}, {true, true, false}, {false, false, true}, {false, true, false}}};
  constexpr std::size_t kFedLater = 2;

  std::vector<Ends> pipes;
  std::array<std::string, kRoles.size()> texts;
  std::array<std::string, kRoles.size()> into;
  std::array<PipeRead, kRoles.size()> reads;
  for (std::size_t i = 0; i < kRoles.size(); ++i) {
    pipes.push_back(Ends::pipe());
    texts[i] = std::to_string(i) + ": " + numbered_text(kTextBytes);
    into[i].resize(texts[i].size());
  }
  const auto feed = [&](std::size_t i) { (void)!::write(pipes[i].far(), texts[i].data(), texts[i].size()); };
  for (std::size_t i = 0; i < kRoles.size(); ++i) {
    if (kRoles[i].has_data) feed(i);
    reads[i] = {.fd = pipes[i].near(),
                .into = room_in(into[i]),
                .aborted = kRoles[i].aborted,
                .follows = kRoles[i].follows,
                .hang_up = [&pipes, i] { pipes[i].close_far(); }};
  }
  read(run.kernel(), reads, [&] { feed(kFedLater); });
  for (std::size_t i = 0; i < kRoles.size(); ++i) {
    const int result = reads[i].result;
    const bool was_given_up = kRoles[i].aborted && (result == -ECANCELED || result == -EINTR || result == 0);
    if (was_given_up) continue;
    if (!run.ended("read " + std::to_string(i), result < 0 ? result : 0)) continue;
    const bool may_be_less = run.fired_any_of({FaultPointId::kCqeShort, FaultPointId::kCqeEof});
    const auto bytes = static_cast<std::size_t>(result);
    run.expect(may_be_less || bytes == texts[i].size(), "read " + std::to_string(i) + " brought less than there is");
    run.expect(into[i].compare(0, bytes, texts[i], 0, bytes) == 0,
               "read " + std::to_string(i) + " brought something else");
  }
}

void internal::add_cancel_trials(std::vector<Trial>& trials) {
  trials.push_back({"gives-up-some-reads", "Reads that are given up end, and the others bring what they were to.",
                    [](ScenarioRun& run) { gives_up_some_reads(run, give_up_by_reference); }});
}

}  // namespace assay::conformance
