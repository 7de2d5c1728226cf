// io_uring_sqe::ioprio of reads and writes.

#include <cerrno>

#include "assay/conformance/ring_suites.h"
#include "assay/conformance/socket_actions.h"

namespace assay::conformance {
namespace {

// See linux/ioprio.h: a class above 13 bits of data, of which the lowest are the level.
constexpr std::uint16_t priority(unsigned priority_class, unsigned level) {
  return static_cast<std::uint16_t>(priority_class << 13 | level);
}
constexpr unsigned kNone = 0;
constexpr unsigned kBestEffort = 2;
constexpr unsigned kIdle = 3;
constexpr unsigned kNoClass = 7;

io_uring_sqe& prepare_read(Ring& ring, const Fd& file, char (&buffer)[4], std::uint16_t priority,
                           std::uint64_t user_data) {
  io_uring_sqe& sqe = prepare_opcode(ring, IORING_OP_READ, file.get(), user_data);
  sqe.addr = reinterpret_cast<std::uintptr_t>(buffer);
  sqe.len = sizeof buffer;
  sqe.ioprio = priority;
  return sqe;
}

}  // namespace

std::vector<Behaviour> ring_priority_behaviours() {
  const std::string suite = "RingPriority";
  const Needs needs{.opcodes = {IORING_OP_READ}};
  return {
      {suite, "MayBeBestEffortOrIdle", needs,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd file = make_file("hello");
         char buffer[4];
         for (const std::uint16_t good : {priority(kBestEffort, 0), priority(kBestEffort, 7), priority(kIdle, 0)}) {
           prepare_read(ring, file, buffer, good, 1);
           EXPECT_EQ(run_one(ring), (Completion{1, 4, 0})) << good;
         }
       }},
      {suite, "HasNoLevelWithoutAClass", needs,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd file = make_file("hello");
         char buffer[4];
         prepare_read(ring, file, buffer, priority(kNone, 4), 1);
         EXPECT_EQ(run_one(ring), (Completion{1, -EINVAL, 0}));
       }},
      {suite, "MustBeOfAClassThatThereIs", needs,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd file = make_file("hello");
         char buffer[4];
         for (const std::uint16_t bad : {priority(4, 0), priority(kNoClass, 0), std::uint16_t{0xffff}}) {
           prepare_read(ring, file, buffer, bad, 1);
           EXPECT_EQ(run_one(ring), (Completion{1, -EINVAL, 0})) << bad;
         }
       }},
      {suite,
       "IsLookedAtBeforeTheFile",
       {.opcodes = {IORING_OP_READ}, .switches_on = {&Semantics::linked_file_at_execution}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd none;
         char buffer[4];
         prepare_read(ring, none, buffer, priority(kNoClass, 0), 1);
         EXPECT_EQ(run_one(ring), (Completion{1, -EINVAL, 0}));
       }},
  };
}

}  // namespace assay::conformance
