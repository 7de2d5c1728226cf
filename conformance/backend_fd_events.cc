// Readiness of files.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <string>
#include <vector>

#include "assay/conformance/backend_scenario.h"
#include "assay/conformance/backend_suites.h"
#include "assay/conformance/ring_actions.h"

namespace assay::conformance {
namespace {

using C = Capability;

struct SocketPair {
  Fd a, b;
};

SocketPair make_socket_pair() {
  int fds[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) != 0) {
    throw std::runtime_error("socketpair failed");
  }
  return {Fd(fds[0]), Fd(fds[1])};
}

Pipe make_readable_pipe() {
  Pipe pipe = make_pipe();
  write_text(pipe.write_end.get(), "x");
  return pipe;
}

void readable_when_data_is_there(BackendScenario& s) {
  Pipe pipe = make_readable_pipe();
  Told& told = s.tell();
  s.fd_event(pipe.read_end.get(), kReadable, told.callback());
  s.run_until(told, 1);
  EXPECT_EQ(told.bits, std::vector<unsigned>{kReadable});
}

void readable_when_data_comes_later(BackendScenario& s) {
  Pipe pipe = make_pipe();
  Told& told = s.tell();
  s.fd_event(pipe.read_end.get(), kReadable, told.callback());
  s.settle();
  EXPECT_EQ(told.calls(), 0u);
  write_text(pipe.write_end.get(), "x");
  s.run_until(told, 1);
  EXPECT_EQ(told.bits, std::vector<unsigned>{kReadable});
}

void writable_when_there_is_room(BackendScenario& s) {
  Pipe pipe = make_pipe();
  Told& told = s.tell();
  s.fd_event(pipe.write_end.get(), kWritable, told.callback());
  s.run_until(told, 1);
  EXPECT_EQ(told.bits, std::vector<unsigned>{kWritable});
}

void writable_when_room_comes_later(BackendScenario& s) {
  Pipe pipe = make_pipe(O_NONBLOCK);
  const std::string page(4096, 'x');
  std::size_t bytes = 0;
  for (ssize_t n; (n = ::write(pipe.write_end.get(), page.data(), page.size())) > 0;)
    bytes += static_cast<std::size_t>(n);
  Told& told = s.tell();
  s.fd_event(pipe.write_end.get(), kWritable, told.callback());
  s.settle();
  EXPECT_EQ(told.calls(), 0u);
  read_text(pipe.read_end.get(), bytes);
  s.run_until(told, 1);
  EXPECT_EQ(told.bits, std::vector<unsigned>{kWritable});
}

void both_directions_of_one_event(BackendScenario& s) {
  SocketPair pair = make_socket_pair();
  Told& told = s.tell();
  const EventId event = s.fd_event(pair.a.get(), kReadable | kWritable | kPersist, told.callback());
  s.run_until(told, 3);
  EXPECT_EQ(told.all(), unsigned{kWritable}) << "there is nothing to read yet";
  write_text(pair.b.get(), "x");
  s.run_until([&] { return told.all() == (kReadable | kWritable); });
  must(s.backend().delete_event(event));
}

void oneshot_is_told_once(BackendScenario& s) {
  Pipe pipe = make_readable_pipe();
  Told& told = s.tell();
  s.fd_event(pipe.read_end.get(), kReadable, told.callback());
  s.run_until(told, 1);
  s.settle();
  EXPECT_EQ(told.calls(), 1u);
}

void oneshot_may_be_added_again(BackendScenario& s) {
  Pipe pipe = make_readable_pipe();
  Told& told = s.tell();
  const EventId event = s.fd_event(pipe.read_end.get(), kReadable, told.callback());
  for (std::size_t times = 1; times <= 5; ++times) {
    s.run_until(told, times);
    EXPECT_EQ(told.calls(), times);
    if (times < 5) must(s.backend().add_event(event));
  }
}

void persistent_stays_until_deleted(BackendScenario& s) {
  Pipe pipe = make_pipe();
  Told& told = s.tell();
  const EventId event = s.fd_event(pipe.read_end.get(), kReadable | kPersist,
                                   told.callback([&](unsigned) { read_text(pipe.read_end.get(), 1); }));
  for (std::size_t times = 1; times <= 5; ++times) {
    write_text(pipe.write_end.get(), "x");
    s.run_until(told, times);
    s.settle();
    EXPECT_EQ(told.calls(), times);
  }
  must(s.backend().delete_event(event));
  write_text(pipe.write_end.get(), "x");
  s.settle();
  EXPECT_EQ(told.calls(), 5u);
}

void not_drained_fires_again(BackendScenario& s) {
  Pipe pipe = make_readable_pipe();
  Told& told = s.tell();
  const EventId event = s.fd_event(pipe.read_end.get(), kReadable | kPersist, told.callback());
  s.run_until(told, 10);
  must(s.backend().delete_event(event));
}

// Five bytes, one taken a call: told five times, and not once more.
void fires_until_drained_and_no_longer(BackendScenario& s) {
  Pipe pipe = make_pipe();
  write_text(pipe.write_end.get(), "12345");
  Told& told = s.tell();
  std::string read;
  s.fd_event(pipe.read_end.get(), kReadable | kPersist,
             told.callback([&](unsigned) { read += read_text(pipe.read_end.get(), 1); }));
  s.run_until(told, 5);
  s.settle();
  EXPECT_EQ(told.calls(), 5u);
  EXPECT_EQ(read, "12345");
}

void adding_twice_is_harmless(BackendScenario& s) {
  Pipe pipe = make_pipe();
  Told& told = s.tell();
  const EventId event = s.fd_event(pipe.read_end.get(), kReadable, told.callback());
  must(s.backend().add_event(event));
  s.settle();
  must(s.backend().add_event(event));
  write_text(pipe.write_end.get(), "x");
  s.run_until(told, 1);
  s.settle();
  EXPECT_EQ(told.calls(), 1u);
}

void deleting_what_was_never_added_is_reported(BackendScenario& s) {
  Pipe pipe = make_readable_pipe();
  Told& told = s.tell();
  const EventId event = must(s.backend().make_fd_event(pipe.read_end.get(), kReadable, told.callback()));
  EXPECT_FALSE(s.backend().delete_event(event)) << "it was never added";
  must(s.backend().add_event(event));
  s.run_until(told, 1);
  EXPECT_FALSE(s.backend().delete_event(event)) << "it was told, and was oneshot";
  EXPECT_EQ(s.run(RunMode::kNonBlock), RunResult::kNoEvents);
}

void a_deleted_event_is_not_told(BackendScenario& s) {
  Pipe pipe = make_pipe();
  Told& told = s.tell();
  const EventId event = s.fd_event(pipe.read_end.get(), kReadable, told.callback());
  s.settle();
  write_text(pipe.write_end.get(), "x");
  must(s.backend().delete_event(event));
  s.settle();
  EXPECT_EQ(told.calls(), 0u);
}

void deleted_in_its_own_callback(BackendScenario& s) {
  Pipe pipe = make_readable_pipe();
  Told& told = s.tell();
  EventId event{};
  event = s.fd_event(pipe.read_end.get(), kReadable | kPersist,
                     told.callback([&](unsigned) { must(s.backend().delete_event(event)); }));
  s.run_until(told, 1);
  s.settle();
  EXPECT_EQ(told.calls(), 1u);
}

void deleted_and_added_again_in_its_own_callback(BackendScenario& s) {
  Pipe pipe = make_readable_pipe();
  Told& told = s.tell();
  EventId event{};
  event = s.fd_event(pipe.read_end.get(), kReadable | kPersist, told.callback([&](unsigned) {
    must(s.backend().delete_event(event));
    if (told.calls() < 4) must(s.backend().add_event(event));
  }));
  s.run_until(told, 4);
  s.settle();
  EXPECT_EQ(told.calls(), 4u);
}

// Both are ready in the same turn, and each deletes the other: only the first may be told.
void deleted_in_the_callback_of_another(BackendScenario& s) {
  Pipe one = make_readable_pipe(), two = make_readable_pipe();
  Told& told = s.tell();
  EventId first{}, second{};
  first = s.fd_event(one.read_end.get(), kReadable,
                     told.callback([&](unsigned) { static_cast<void>(s.backend().delete_event(second)); }));
  second = s.fd_event(two.read_end.get(), kReadable,
                      told.callback([&](unsigned) { static_cast<void>(s.backend().delete_event(first)); }));
  s.run_until(told, 1);
  s.settle();
  EXPECT_EQ(told.calls(), 1u);
}

// The number of a closed fd is given to the next file that is opened. What is in flight for the old file must not be
// taken for the new one's.
void an_fd_may_be_closed_and_used_again(BackendScenario& s) {
  Pipe old_pipe = make_pipe();
  const int fd = old_pipe.read_end.get();
  Told& old_told = s.tell();
  const EventId old_event = s.fd_event(fd, kReadable | kPersist, old_told.callback());
  s.settle();
  must(s.backend().delete_event(old_event));
  old_pipe.read_end.reset();
  Pipe new_pipe = make_pipe();
  // The lowest free number goes to the next file; that may have been the pipe's other end, or one of the loop's own.
  Fd copy(new_pipe.read_end.get() == fd ? -1 : ::fcntl(new_pipe.read_end.get(), F_DUPFD_CLOEXEC, fd));
  Told& new_told = s.tell();
  s.fd_event(copy.get() >= 0 ? copy.get() : fd, kReadable, new_told.callback());
  s.settle();
  EXPECT_EQ(new_told.calls(), 0u);
  write_text(new_pipe.write_end.get(), "x");
  s.run_until(new_told, 1);
  s.settle();
  EXPECT_EQ(old_told.calls(), 0u);
  EXPECT_EQ(new_told.calls(), 1u);
}

void hang_up_is_reported_to_readers(BackendScenario& s) {
  Pipe pipe = make_pipe();
  Told& told = s.tell();
  s.fd_event(pipe.read_end.get(), kReadable, told.callback());
  s.settle();
  pipe.write_end.reset();
  s.run_until(told, 1);
  EXPECT_EQ(told.bits, std::vector<unsigned>{kReadable});
}

void an_error_is_reported_to_writers(BackendScenario& s) {
  Pipe pipe = make_pipe(O_NONBLOCK);
  const std::string page(4096, 'x');
  while (::write(pipe.write_end.get(), page.data(), page.size()) > 0) {
  }
  Told& told = s.tell();
  s.fd_event(pipe.write_end.get(), kWritable, told.callback());
  s.settle();
  EXPECT_EQ(told.calls(), 0u);
  pipe.read_end.reset();
  s.run_until(told, 1);
  EXPECT_EQ(told.bits, std::vector<unsigned>{kWritable});
}

void hang_up_of_a_socket_is_reported_in_both_directions(BackendScenario& s) {
  SocketPair pair = make_socket_pair();
  Told& told = s.tell();
  const EventId event = s.fd_event(pair.a.get(), kReadable | kWritable | kPersist, told.callback());
  pair.b.reset();
  s.run_until([&] { return told.all() == (kReadable | kWritable); });
  must(s.backend().delete_event(event));
}

void a_bad_fd_is_reported(BackendScenario& s) {
  Told& told = s.tell();
  const EventId event = must(s.backend().make_fd_event(closed_fd(), kReadable, told.callback()));
  const Result<void> added = s.backend().add_event(event);
  if (!added) return;
  s.run_until(told, 1);
  s.settle();
  EXPECT_EQ(told.bits, std::vector<unsigned>{kReadable}) << "errors are told to whoever asked for anything";
}

void two_events_on_one_fd(BackendScenario& s) {
  Pipe pipe = make_pipe();
  Told &one = s.tell(), &two = s.tell();
  s.fd_event(pipe.read_end.get(), kReadable, one.callback());
  s.fd_event(pipe.read_end.get(), kReadable, two.callback());
  s.settle();
  write_text(pipe.write_end.get(), "x");
  s.run_until([&] { return one.calls() > 0 && two.calls() > 0; });
  s.settle();
  EXPECT_EQ(one.calls(), 1u);
  EXPECT_EQ(two.calls(), 1u);
}

void a_regular_file_is_always_ready(BackendScenario& s) {
  Fd file = make_file("content");
  Told& told = s.tell();
  s.fd_event(file.get(), kReadable, told.callback());
  s.run_until(told, 1);
  EXPECT_EQ(told.bits, std::vector<unsigned>{kReadable});
}

void the_timeout_comes_first(BackendScenario& s) {
  Pipe pipe = make_pipe();
  Told& told = s.tell();
  const auto start = s.now();
  s.fd_event(pipe.read_end.get(), kReadable, told.callback(), s.moment());
  s.run_until(told, 1);
  EXPECT_EQ(told.bits, std::vector<unsigned>{kTimedOut});
  EXPECT_GE(s.now() - start, s.moment());
  if (s.virtual_clock()) {
    EXPECT_EQ(s.now() - start, s.moment());
  }
  write_text(pipe.write_end.get(), "x");
  s.settle();
  EXPECT_EQ(told.calls(), 1u) << "it was oneshot, and over with its timeout";
}

void readiness_comes_first(BackendScenario& s) {
  Pipe pipe = make_readable_pipe();
  Told &told = s.tell(), &later = s.tell();
  s.fd_event(pipe.read_end.get(), kReadable, told.callback(), 10 * s.moment());
  s.run_until(told, 1);
  EXPECT_EQ(told.bits, std::vector<unsigned>{kReadable});
  // Let the time pass that it would have taken.
  s.timer(12 * s.moment(), later.callback());
  s.run_until(later, 1);
  EXPECT_EQ(told.calls(), 1u) << "the timeout went with the event";
}

void adding_again_gives_a_new_timeout(BackendScenario& s) {
  Pipe pipe = make_pipe();
  Told& told = s.tell();
  const auto start = s.now();
  const EventId event = s.fd_event(pipe.read_end.get(), kReadable, told.callback(), s.moment());
  must(s.backend().add_event(event, 3 * s.moment()));
  s.run_until(told, 1);
  EXPECT_EQ(told.bits, std::vector<unsigned>{kTimedOut});
  EXPECT_GE(s.now() - start, 3 * s.moment());
}

// More than the SQ and the CQ hold, thrice.
void many_fds_on_small_rings(BackendScenario& s) {
  constexpr std::size_t kCount = 64;
  s.backend({.sq_entries = 8, .cq_entries = 16});
  std::vector<Pipe> pipes;
  std::vector<Told*> told;
  for (std::size_t i = 0; i < kCount; ++i) {
    pipes.push_back(make_pipe());
    told.push_back(&s.tell());
    const int fd = pipes[i].read_end.get();
    s.fd_event(fd, kReadable | kPersist, told[i]->callback([fd](unsigned) { read_text(fd, 1); }));
  }
  for (std::size_t round = 1; round <= 3; ++round) {
    for (Pipe& pipe : pipes) write_text(pipe.write_end.get(), "x");
    s.run_until([&] {
      for (const Told* each : told) {
        if (each->calls() < round) return false;
      }
      return true;
    });
    s.settle();
    for (const Told* each : told) EXPECT_EQ(each->calls(), round);
  }
}

void many_fds_on_roomy_rings(BackendScenario& s) {
  constexpr std::size_t kCount = 64;
  s.backend({.sq_entries = 128});
  std::vector<Pipe> pipes;
  std::vector<Told*> told;
  for (std::size_t i = 0; i < kCount; ++i) {
    pipes.push_back(make_readable_pipe());
    told.push_back(&s.tell());
    s.fd_event(pipes[i].read_end.get(), kReadable, told[i]->callback());
  }
  EXPECT_EQ(s.run(RunMode::kUntilIdle), RunResult::kHadEvents);
  for (const Told* each : told) EXPECT_EQ(each->calls(), 1u);
}

}  // namespace

void internal::add_backend_fd_events(BackendBehaviours& behaviours) {
  const auto add = [&](const char* name, CapabilitySet capabilities, void (*body)(BackendScenario&)) {
    behaviours.push_back({.suite = "BackendFdEvents",
                          .name = name,
                          .capabilities = capabilities | CapabilitySet{C::kFdEvents},
                          .body = body});
  };
  add("ReadableWhenDataIsThere", {}, readable_when_data_is_there);
  add("ReadableWhenDataComesLater", {}, readable_when_data_comes_later);
  add("WritableWhenThereIsRoom", {}, writable_when_there_is_room);
  add("WritableWhenRoomComesLater", {}, writable_when_room_comes_later);
  add("BothDirectionsOfOneEvent", {C::kPersistentFdEvents}, both_directions_of_one_event);
  add("OneshotIsToldOnce", {}, oneshot_is_told_once);
  add("OneshotMayBeAddedAgain", {}, oneshot_may_be_added_again);
  add("PersistentStaysUntilDeleted", {C::kPersistentFdEvents}, persistent_stays_until_deleted);
  add("NotDrainedFiresAgain", {C::kPersistentFdEvents}, not_drained_fires_again);
  add("FiresUntilDrainedAndNoLonger", {C::kPersistentFdEvents}, fires_until_drained_and_no_longer);
  add("AddingTwiceIsHarmless", {}, adding_twice_is_harmless);
  add("DeletingWhatWasNeverAddedIsReported", {}, deleting_what_was_never_added_is_reported);
  add("ADeletedEventIsNotTold", {}, a_deleted_event_is_not_told);
  add("DeletedInItsOwnCallback", {C::kPersistentFdEvents}, deleted_in_its_own_callback);
  add("DeletedAndAddedAgainInItsOwnCallback", {C::kPersistentFdEvents}, deleted_and_added_again_in_its_own_callback);
  add("DeletedInTheCallbackOfAnother", {}, deleted_in_the_callback_of_another);
  add("AnFdMayBeClosedAndUsedAgain", {C::kPersistentFdEvents}, an_fd_may_be_closed_and_used_again);
  add("HangUpIsReportedToReaders", {}, hang_up_is_reported_to_readers);
  add("AnErrorIsReportedToWriters", {}, an_error_is_reported_to_writers);
  add("HangUpOfASocketIsReportedInBothDirections", {C::kPersistentFdEvents},
      hang_up_of_a_socket_is_reported_in_both_directions);
  add("ABadFdIsReported", {}, a_bad_fd_is_reported);
  add("TwoEventsOnOneFd", {}, two_events_on_one_fd);
  add("ARegularFileIsAlwaysReady", {}, a_regular_file_is_always_ready);
  add("TheTimeoutComesFirst", {C::kFdEventTimeouts}, the_timeout_comes_first);
  add("ReadinessComesFirst", {C::kFdEventTimeouts, C::kTimers}, readiness_comes_first);
  add("AddingAgainGivesANewTimeout", {C::kFdEventTimeouts}, adding_again_gives_a_new_timeout);
  add("ManyFdsOnRoomyRings", {}, many_fds_on_roomy_rings);
  add("ManyFdsOnSmallRings", {C::kPersistentFdEvents, C::kBacklog}, many_fds_on_small_rings);
}

}  // namespace assay::conformance
