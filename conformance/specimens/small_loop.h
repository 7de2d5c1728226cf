#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "assay/backend/kernel.h"
#include "assay/backend/ring.h"

namespace assay::conformance {

/// A small loop on Ring, as a careful program has one: requests, each with what becomes of its completions.
///
/// Where a specimen is about the loop itself it overrides the one step that it takes wrongly; where it is about an
/// operation it uses the loop as it is. So whatever a twin gets right is written here, once.
class SmallLoop {
 public:
  /// Fills in the SQE, which is cleared before; its user_data is the loop's.
  using Prepare = std::function<void(io_uring_sqe& sqe)>;
  /// Told each of a request's completions.
  using Told = std::function<void(const io_uring_cqe& cqe)>;
  struct Link {
    Prepare prepare;
    Told told;
  };

  /// A ring so small that it is full now and then.
  static constexpr unsigned kSqEntries = 4;

  explicit SmallLoop(Kernel& kernel, const RingOptions& options = {.sq_entries = kSqEntries});
  SmallLoop(const SmallLoop&) = delete;
  SmallLoop& operator=(const SmallLoop&) = delete;
  virtual ~SmallLoop() = default;

  /// Why there is no ring, or why the loop had to end: a negative errno, or 0.
  int error() const noexcept { return error_; }
  Ring& ring() noexcept { return *ring_; }

  /// Starts a request, and returns its user_data. Once the loop has ended it is told
  /// -ECANCELED at once.
  std::uint64_t start(Prepare prepare, Told told);
  /// The same for several that are linked: they go in one submission, and the caller sets the flags. The SQ must be
  /// able to hold them.
  std::vector<std::uint64_t> start_chain(std::vector<Link> chain);
  bool in_flight(std::uint64_t user_data) const { return requests_.contains(user_data); }
  /// Asks for the request's end, until it has ended or the kernel says that it cannot. What it is told is -ECANCELED or
  /// what came first.
  virtual void cancel(std::uint64_t user_data);

  /// Gives the kernel what was started, without waiting for any of it.
  void submit_all();
  /// Runs until `done`, or until no request is left. Returns `error()`.
  int run_until(const std::function<bool()>& done);
  /// Runs until no request is left.
  int run() {
    return run_until([] { return false; });
  }

 protected:
  /// Takes what is waiting to the SQ, submits, waits for a completion if none is there, and tells of all that are.
  virtual void turn();
  /// A free SQE, if there is one.
  virtual io_uring_sqe* next_sqe() { return ring_->get_sqe(); }
  /// Whether so many SQEs are free.
  virtual bool has_room(std::size_t sqes) { return ring_->sq_space_left() >= sqes; }
  /// Submits and waits for one completion: a number of SQEs, or a negative errno.
  virtual int enter() { return ring_->submit_and_wait(1); }
  /// Whether the loop can go on after that answer of enter.
  virtual bool bears(int answer);
  /// Tells of the completions that are there.
  virtual void reap();
  /// A completion that no request of the loop has asked for.
  virtual void unasked(const io_uring_cqe&) {}

  /// Tells of one.
  virtual void tell(const io_uring_cqe& cqe);
  /// What a request is called: a number that nobody has.
  virtual std::uint64_t new_user_data() { return ++last_user_data_; }
  /// A cancelation was answered.
  virtual void cancel_answered(std::uint64_t user_data, int answer);

  void fill_sq();
  /// The loop cannot go on: what the kernel has not seen is told -ECANCELED, and the rest cancelled and awaited.
  void fail(int error);
  /// Requests that have an SQE and are not over.
  std::size_t placed() const;
  /// Of these, those that the kernel has taken.
  std::size_t taken() const;

 private:
  struct Request {
    Prepare prepare;
    Told told;
  };

  std::vector<std::uint64_t> queue(std::vector<Link> chain);
  void tell_what_is_lost();
  void end(std::uint64_t user_data, int res);

  std::optional<Ring> ring_;
  int error_ = 0;
  unsigned failures_ = 0;
  unsigned turns_ = 0;
  unsigned dropped_ = 0;  // completions, by the kernel's count, that were dealt with
  std::uint64_t last_user_data_ = 0;
  std::map<std::uint64_t, std::shared_ptr<Request>> requests_;
  std::deque<std::vector<std::uint64_t>> waiting_;  // for SQEs, in order; chains go as one
};

}  // namespace assay::conformance
