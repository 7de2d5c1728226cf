// Registered files of the reference backend: who shares a slot, when it is used again, and what becomes of a file that
// the kernel refuses or of a table that it does not give.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "assay/conformance/backend_suites.h"
#include "assay/conformance/reference_actions.h"
#include "assay/conformance/ring_actions.h"
#include "assay/conformance/socket_actions.h"

namespace assay::conformance {
namespace {

constexpr unsigned kSlots = 4;
constexpr const char* kNoUpdate = "register/errno:errno=ENOMEM:op=REGISTER_FILES_UPDATE";
constexpr const char* kNoTable = "register/errno:errno=ENOMEM:op=REGISTER_FILES2";
constexpr const char* kDropsOneNop = "cqe/full:nth=1:op=NOP,cqe/drop:nth=1";

/// A backend with a table, and its operations.
class Registering {
 public:
  explicit Registering(BackendScenario& s, const BackendOptions& options = {.registered_fds = kSlots})
      : scenario_(s), backend_(must(Backend::create(s.kernel(), options))) {}

  Backend& operator*() const { return *backend_; }
  Backend* operator->() const { return backend_.get(); }
  void destroy() { backend_.reset(); }

  /// Whether this kernel can have a table that is filled later.
  bool has_table() const {
    return scenario_.profile().register_ops.test(IORING_REGISTER_FILES_UPDATE) &&
           (scenario_.profile().features & IORING_FEAT_NODROP) != 0;
  }
  RegisteredFile file(int fd) {
    RegisteredFile file = must(backend_->register_file(fd));
    EXPECT_EQ(file.fd(), fd);
    return file;
  }
  void run_until(const std::function<bool()>& done) {
    for (int turns = 0; !done() && turns < 1000; ++turns) must(backend_->loop(LoopMode::kOnce));
    ASSERT_TRUE(done()) << "the loop turned a thousand times";
  }
  void settle() {
    for (int turns = 0; turns < 16; ++turns) must(backend_->loop(LoopMode::kNonblock));
  }
  /// Writes through the file, and reads what came of it by the plain descriptor.
  void write_through(File file, int other_end) {
    Owed& written = scenario_.owe("the write");
    backend_->write(file, sent(text_), kCurrentPosition, written.callback());
    run_until([&] { return written.done(); });
    const std::size_t bytes = moved(written.res, text_.size());
    EXPECT_EQ(read_text(other_end, bytes), text_.substr(0, bytes));
  }
  bool names(std::string_view option) const {
    for (const std::string& line : backend_->unmet_options()) {
      if (line.find(option) == 0) return true;
    }
    return false;
  }

 private:
  BackendScenario& scenario_;
  const std::string text_ = "text";
  std::unique_ptr<Backend> backend_;
};

void operations_go_through_the_slot(BackendScenario& s) {
  Registering backend(s);
  EXPECT_EQ(backend.names("registered_fds"), !backend.has_table());
  const Pipe pipe = make_pipe();
  const RegisteredFile from = backend.file(pipe.read_end.get()), to = backend.file(pipe.write_end.get());
  EXPECT_EQ(from.is_registered(), backend.has_table());
  std::string buffer(8, '-');
  Owed &polled = s.owe("the poll"), &read = s.owe("the read");
  backend->poll(from, POLLIN, polled.callback());
  backend->read(from, bytes_of(buffer), kCurrentPosition, read.callback());
  backend.settle();
  EXPECT_FALSE(polled.done());
  EXPECT_FALSE(read.done());
  Owed& written = s.owe("the write");
  const std::string text = "text";
  backend->write(to, sent(text), kCurrentPosition, written.callback());
  backend.run_until([&] { return polled.done() && read.done() && written.done(); });
  EXPECT_EQ(polled.res, POLLIN);
  const std::size_t bytes = moved(read.res, 4);
  EXPECT_EQ(buffer.substr(0, bytes), text.substr(0, bytes));
  // Both ends of a splice are files.
  const Pipe other = make_pipe();
  const RegisteredFile there = backend.file(other.write_end.get());
  write_text(pipe.write_end.get(), "data");
  Owed& spliced = s.owe("the splice");
  backend->splice(from, kCurrentPosition, there, kCurrentPosition, 100, 0, spliced.callback());
  backend.run_until([&] { return spliced.done(); });
  // Behind what the write and the read have left there, should they have been short.
  const std::string all = text.substr(0, moved(written.res, 4)).substr(bytes) + "data";
  const std::size_t spliced_bytes = moved(spliced.res, all.size());
  EXPECT_EQ(read_text(other.read_end.get(), spliced_bytes), all.substr(0, spliced_bytes));
}

// What the kernel itself reads of: the slot's file, whatever has become of the descriptor.
void the_kernel_reads_of_the_slot(BackendScenario& s) {
  Registering backend(s);
  const Pipe pipe = make_pipe(), other = make_pipe();
  const Fd place(::fcntl(pipe.write_end.get(), F_DUPFD_CLOEXEC, 0));
  const RegisteredFile file = backend.file(place.get());
  ASSERT_EQ(::dup3(other.write_end.get(), place.get(), O_CLOEXEC), place.get());
  Owed& written = s.owe("the write");
  backend->write(file, sent("x"), 0, written.callback());
  backend.run_until([&] { return written.done(); });
  EXPECT_EQ(written.res, 1);
  const Pipe& used = file.is_registered() ? pipe : other;
  EXPECT_EQ(read_text(used.read_end.get(), 1), "x");
}

void one_descriptor_has_one_slot(BackendScenario& s) {
  Registering backend(s);
  const Pipe pipe = make_pipe();
  RegisteredFile first = backend.file(pipe.write_end.get());
  const RegisteredFile second = backend.file(pipe.write_end.get()), copy = second;
  RegisteredFile moved_here = std::move(first);
  EXPECT_EQ(first.fd(), -1);  // NOLINT(bugprone-use-after-move): what is moved from has none
  EXPECT_FALSE(first.is_registered());
  EXPECT_EQ(moved_here.slot(), second.slot());
  EXPECT_EQ(copy.slot(), second.slot());
  const RegisteredFile other = backend.file(pipe.read_end.get());
  EXPECT_EQ(other.slot() == second.slot(), !backend.has_table());
  moved_here.reset();
  backend.write_through(copy, pipe.read_end.get());
}

void a_slot_is_free_when_nobody_holds_it(BackendScenario& s) {
  Registering backend(s);
  const Pipe pipe = make_pipe(), other = make_pipe();
  RegisteredFile file = backend.file(pipe.read_end.get()), copy = file;
  const std::optional<unsigned> slot = file.slot();
  std::string buffer(8, '-');
  Owed& read = s.owe("a read that waits");
  backend->read(file, bytes_of(buffer), kCurrentPosition, read.callback());
  // Before the kernel has seen the read, and after.
  file.reset();
  copy.reset();
  const RegisteredFile second = backend.file(other.read_end.get());
  EXPECT_EQ(second.slot() == slot, !backend.has_table());
  backend.settle();
  const RegisteredFile third = backend.file(other.write_end.get());
  EXPECT_EQ(third.slot() == slot, !backend.has_table());
  EXPECT_FALSE(read.done());
  write_text(pipe.write_end.get(), "abc");
  backend.run_until([&] { return read.done(); });
  EXPECT_EQ(buffer.substr(0, moved(read.res, 3)), std::string("abc").substr(0, moved(read.res, 3)));
  const RegisteredFile fourth = backend.file(pipe.write_end.get());
  EXPECT_EQ(fourth.slot(), slot);
}

/// Something that goes on with the file until it is cancelled, without a handle of its own.
template <typename Start>
void it_holds_the_file(BackendScenario& s, Start start) {
  Registering backend(s);
  const SocketPair pair = make_stream_pair(), other = make_stream_pair();
  RegisteredFile file = backend.file(pair.near.get());
  const std::optional<unsigned> slot = file.slot();
  bool over = false;
  const OperationHandle handle = start(*backend, file, over);
  file.reset();
  const RegisteredFile second = backend.file(other.near.get());
  EXPECT_EQ(second.slot() == slot, !backend.has_table());
  backend.settle();
  EXPECT_FALSE(over);
  must(backend->cancel(handle));
  backend.run_until([&] { return over; });
  EXPECT_EQ(backend.file(other.far.get()).slot(), slot);
}

void what_goes_on_holds_the_file(BackendScenario& s) {
  it_holds_the_file(s, [](Backend& backend, File file, bool& over) {
    return backend.poll_each(file, POLLIN, [&over](int, bool more) { over = !more; });
  });
  it_holds_the_file(s, [](Backend& backend, File file, bool& over) {
    const assay::BufferPool pool = must(assay::BufferPool::create(backend, {.count = 2, .bytes = 64}));
    return backend.recv_each(file, pool, 0, [&over](int, ProvidedBuffer, bool more) { over = !more; });
  });
}

// The kernel must not keep what nobody holds: the pipe's reader waits for the last writer to go.
void a_freed_file_is_closed(BackendScenario& s) {
  Registering backend(s);
  Pipe pipe = make_pipe();
  RegisteredFile file = backend.file(pipe.write_end.get());
  backend.write_through(file, pipe.read_end.get());
  pollfd reader{.fd = pipe.read_end.get(), .events = POLLIN, .revents = 0};
  if (file.is_registered()) {
    pipe.write_end.reset();
    EXPECT_EQ(::poll(&reader, 1, 0), 0) << "the table holds the file";
  }
  file.reset();
  pipe.write_end.reset();
  // A kernel may put it off to a worker, and to the task's next way out of the kernel.
  for (int turns = 0; reader.revents == 0 && turns < 1000; ++turns) {
    backend.settle();
    ASSERT_GE(::poll(&reader, 1, 10), 0);
  }
  EXPECT_EQ(reader.revents, POLLHUP);
}

void a_full_table_leaves_the_descriptor(BackendScenario& s) {
  Registering backend(s);
  std::vector<Pipe> pipes;
  std::vector<RegisteredFile> files;
  for (unsigned i = 0; i < kSlots + 2; ++i) {
    pipes.push_back(make_pipe());
    files.push_back(backend.file(pipes[i].write_end.get()));
    EXPECT_EQ(files[i].is_registered(), backend.has_table() && i < kSlots);
  }
  for (unsigned i = 0; i < kSlots + 2; ++i) backend.write_through(files[i], pipes[i].read_end.get());
  // Once there is room, whoever asks again has a slot, and so have those who hold the file already.
  files[0].reset();
  const RegisteredFile again = backend.file(files[kSlots].fd());
  EXPECT_EQ(again.is_registered(), backend.has_table());
  EXPECT_EQ(files[kSlots].slot(), again.slot());
  backend.write_through(files[kSlots], pipes[kSlots].read_end.get());
}

void without_a_table_it_is_the_descriptor(BackendScenario& s) {
  Registering backend(s, {});
  const Pipe pipe = make_pipe();
  const RegisteredFile file = backend.file(pipe.write_end.get());
  EXPECT_FALSE(file.is_registered());
  EXPECT_FALSE(backend.names("registered_fds")) << "nobody asked for it";
  backend.write_through(file, pipe.read_end.get());
}

void a_bad_descriptor_is_refused_alone(BackendScenario& s) {
  Registering backend(s);
  const Pipe pipe = make_pipe();
  for (const int fd : {closed_fd(), -1}) {
    const Result<RegisteredFile> bad = backend->register_file(fd);
    ASSERT_FALSE(bad);
    EXPECT_EQ(bad.error(), std::errc::bad_file_descriptor);
    EXPECT_NE(bad.error().message().find("register_file(" + std::to_string(fd) + ")"), std::string::npos)
        << bad.error().message();
  }
  const RegisteredFile file = backend.file(pipe.write_end.get());
  EXPECT_EQ(file.is_registered(), backend.has_table());
  backend.write_through(file, pipe.read_end.get());
}

void handles_may_outlive_the_backend(BackendScenario& s) {
  Registering backend(s);
  const Pipe pipe = make_pipe();
  RegisteredFile file = backend.file(pipe.read_end.get()), copy = file;
  std::string buffer(8, '-');
  Owed& read = s.owe("a read that waits");
  backend->read(file, bytes_of(buffer), kCurrentPosition, read.callback());
  backend.settle();
  file.reset();
  backend.destroy();
  EXPECT_EQ(read.res, -ECANCELED);
  EXPECT_FALSE(copy.is_registered());
  EXPECT_EQ(copy.fd(), pipe.read_end.get());
}

void deferred_rings_have_a_table(BackendScenario& s) {
  Registering backend(s, {.defer_taskrun = true, .registered_fds = kSlots});
  const Pipe pipe = make_pipe();
  // Before the ring is enabled, and after.
  const RegisteredFile early = backend.file(pipe.write_end.get());
  EXPECT_EQ(early.is_registered(), backend.has_table());
  backend.write_through(early, pipe.read_end.get());
  const RegisteredFile late = backend.file(pipe.read_end.get());
  EXPECT_EQ(late.is_registered(), backend.has_table());
  EXPECT_NE(late.slot().value_or(kSlots), early.slot().value_or(0));
}

void a_failed_update_is_refused_alone(BackendScenario& s) {
  Registering backend(s);
  const Pipe pipe = make_pipe();
  const RegisteredFile before = backend.file(pipe.read_end.get());
  {
    const FaultScope scope = s.inject(kNoUpdate);
    const Result<RegisteredFile> refused = backend->register_file(pipe.write_end.get());
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error(), std::errc::not_enough_memory);
  }
  EXPECT_TRUE(before.is_registered());
  const RegisteredFile file = backend.file(pipe.write_end.get());
  EXPECT_TRUE(file.is_registered());
  EXPECT_FALSE(backend.names("registered_fds"));
  backend.write_through(file, pipe.read_end.get());
}

// A slot that could not be emptied is emptied later.
void a_slot_that_is_not_given_back_is_not_lost(BackendScenario& s) {
  Registering backend(s);
  const Pipe pipe = make_pipe();
  RegisteredFile file = backend.file(pipe.write_end.get());
  {
    const FaultScope scope = s.inject(kNoUpdate);
    file.reset();
  }
  std::vector<Pipe> pipes;
  std::vector<RegisteredFile> files;
  for (unsigned i = 0; i < kSlots; ++i) {
    pipes.push_back(make_pipe());
    files.push_back(backend.file(pipes[i].write_end.get()));
    EXPECT_TRUE(files[i].is_registered());
  }
}

void a_table_that_was_refused_comes_later(BackendScenario& s) {
  std::optional<Registering> backend;
  const Pipe pipe = make_pipe();
  RegisteredFile file;
  {
    const FaultScope scope = s.inject(kNoTable);
    backend.emplace(s);
    EXPECT_TRUE(backend->names("registered_fds"));
    file = backend->file(pipe.write_end.get());
    EXPECT_FALSE(file.is_registered());
    backend->write_through(file, pipe.read_end.get());
    EXPECT_TRUE(backend->names("registered_fds"));
  }
  const RegisteredFile other = backend->file(pipe.read_end.get());
  EXPECT_TRUE(other.is_registered());
  EXPECT_TRUE(file.is_registered()) << "what is held gets its slot";
  EXPECT_FALSE(backend->names("registered_fds"));
  backend->write_through(file, pipe.read_end.get());
}

/// An operation that does nothing, and tells.
class Nop final : public Operation {
 public:
  explicit Nop(OperationCallback done) : done_(std::move(done)) {}

 private:
  void prepare(io_uring_sqe& sqe) override { io_uring_prep_nop(&sqe); }
  void complete(const assay::Completion& completion) override { done_(completion.res); }

  OperationCallback done_;
};

/// Has the kernel drop a completion, so that the backend makes its ring anew.
void lose_a_completion(BackendScenario& s, Registering& backend) {
  const FaultScope scope = s.inject(kDropsOneNop);
  Owed& lost = s.owe("the NOP whose completion is dropped");
  Nop nop(lost.callback());
  must(backend->submit(nop));
  Timer timer(*backend, [] {});
  must(timer.start_after(s.moment()));
  backend.run_until([&] { return lost.done(); });
  EXPECT_EQ(lost.res, -EBADR);
  EXPECT_EQ(backend->counters().recoveries, 1u);
}

void a_ring_made_anew_has_the_files(BackendScenario& s) {
  Registering backend(s);
  const Pipe pipe = make_pipe(), other = make_pipe();
  RegisteredFile from = backend.file(pipe.read_end.get());
  const RegisteredFile to = backend.file(pipe.write_end.get());
  std::string buffer(8, '-');
  Owed& read = s.owe("a read that waits");
  backend->read(from, bytes_of(buffer), kCurrentPosition, read.callback());
  backend.settle();
  from.reset();
  lose_a_completion(s, backend);
  EXPECT_TRUE(to.is_registered());
  EXPECT_FALSE(backend.names("registered_fds"));
  // The read, which was started again, holds its file all the while.
  std::vector<RegisteredFile> rest;
  for (const int fd : {other.read_end.get(), other.write_end.get()}) {
    rest.push_back(backend.file(fd));
    EXPECT_TRUE(rest.back().is_registered());
    EXPECT_NE(rest.back().slot(), to.slot());
  }
  EXPECT_FALSE(read.done());
  Owed& written = s.owe("the write");
  backend->write(to, sent("abc"), kCurrentPosition, written.callback());
  backend.run_until([&] { return written.done() && read.done(); });
  EXPECT_EQ(read.res, written.res);
}

void a_ring_made_anew_does_without_a_table(BackendScenario& s) {
  Registering backend(s);
  const Pipe pipe = make_pipe();
  const RegisteredFile from = backend.file(pipe.read_end.get()), to = backend.file(pipe.write_end.get());
  std::string buffer(8, '-');
  Owed& read = s.owe("a read that waits");
  backend->read(from, bytes_of(buffer), kCurrentPosition, read.callback());
  backend.settle();
  {
    const FaultScope scope = s.inject(kNoTable);
    lose_a_completion(s, backend);
    EXPECT_TRUE(backend.names("registered_fds"));
    EXPECT_FALSE(to.is_registered());
    Owed& written = s.owe("the write");
    backend->write(to, sent("abc"), kCurrentPosition, written.callback());
    backend.run_until([&] { return written.done() && read.done(); });
    EXPECT_EQ(read.res, written.res);
  }
  EXPECT_TRUE(backend.file(to.fd()).is_registered());
  EXPECT_TRUE(from.is_registered());
  EXPECT_FALSE(backend.names("registered_fds"));
}

}  // namespace

void internal::add_reference_registered_files(BackendBehaviours& behaviours) {
  ReferenceSuite suite(behaviours, "ReferenceRegisteredFiles", {IORING_OP_READ, IORING_OP_WRITE, IORING_OP_SPLICE});
  suite.add("OperationsGoThroughTheSlot", operations_go_through_the_slot);
  suite.add("TheKernelReadsOfTheSlot", the_kernel_reads_of_the_slot);
  suite.add("OneDescriptorHasOneSlot", one_descriptor_has_one_slot);
  suite.add("ASlotIsFreeWhenNobodyHoldsIt", a_slot_is_free_when_nobody_holds_it);
  suite.add("WhatGoesOnHoldsTheFile", what_goes_on_holds_the_file);
  suite.add("AFreedFileIsClosed", a_freed_file_is_closed);
  suite.add("AFullTableLeavesTheDescriptor", a_full_table_leaves_the_descriptor);
  suite.add("WithoutATableItIsTheDescriptor", without_a_table_it_is_the_descriptor);
  suite.add("ABadDescriptorIsRefusedAlone", a_bad_descriptor_is_refused_alone);
  suite.add("HandlesMayOutliveTheBackend", handles_may_outlive_the_backend);
  suite.add("DeferredRingsHaveATable", deferred_rings_have_a_table);
  const Needs table{.register_ops = {IORING_REGISTER_FILES_UPDATE, IORING_REGISTER_FILES2}};
  suite.add_injecting("AFailedUpdateIsRefusedAlone", a_failed_update_is_refused_alone, kNoUpdate, table);
  suite.add_injecting("ASlotThatIsNotGivenBackIsNotLost", a_slot_that_is_not_given_back_is_not_lost, kNoUpdate, table);
  suite.add_injecting("ATableThatWasRefusedComesLater", a_table_that_was_refused_comes_later, kNoTable, table);
  const Needs ebadr{.register_ops = table.register_ops, .switches_on = {&Semantics::ebadr_after_drop}};
  suite.add_injecting("ARingMadeAnewHasTheFiles", a_ring_made_anew_has_the_files, kDropsOneNop, ebadr);
  suite.add_injecting("ARingMadeAnewDoesWithoutATable", a_ring_made_anew_does_without_a_table,
                      std::string(kDropsOneNop) + "," + kNoTable, ebadr);
}

}  // namespace assay::conformance
