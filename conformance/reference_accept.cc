// Accepting one connection after the other, by the reference backend: one multishot request, or one request after the
// other, and nobody is to see the difference.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <vector>

#include "assay/conformance/backend_suites.h"
#include "assay/conformance/reference_actions.h"
#include "assay/conformance/socket_actions.h"

namespace assay::conformance {
namespace {

/// Sockets that were accepted, closed at the end of the scope.
class Accepted {
 public:
  explicit Accepted(BackendScenario& s) : told_(s, "the accepts") {}
  RepeatedCallback callback(std::function<void(int res)> then = {}) {
    return told_.callback([this, then = std::move(then)](int res) {
      EXPECT_GE(res, 0);
      if (res >= 0) sockets_.emplace_back(res);
      if (then) then(res);
    });
  }
  std::size_t count() const { return sockets_.size(); }
  const std::vector<Fd>& sockets() const { return sockets_; }
  const Fd& back() const { return sockets_.back(); }
  Owed& last() { return told_.last; }

 private:
  Repeated told_;
  std::vector<Fd> sockets_;
};

void accepts_until_cancelled(BackendScenario& s) {
  for (const int flags : {0, static_cast<int>(SOCK_NONBLOCK)}) {
    const Listener listener = make_listener(flags);
    Accepted accepted(s);
    const OperationHandle handle =
        reference_backend(s).accept_each(listener.socket.get(), SOCK_CLOEXEC, accepted.callback());
    std::vector<Fd> clients;
    for (std::size_t round = 1; round <= 3; ++round) {
      s.settle();
      EXPECT_EQ(accepted.count(), round - 1);
      clients.push_back(connect_to(listener));
      s.run_until([&] { return accepted.count() == round; });
      EXPECT_NE(::fcntl(accepted.back().get(), F_GETFD) & FD_CLOEXEC, 0);
    }
    must(reference_backend(s).cancel(handle));
    s.run_until(accepted.last());
    EXPECT_EQ(accepted.last().res, -ECANCELED);
    EXPECT_EQ(accepted.count(), 3u);
  }
}

void accepts_what_came_at_once(BackendScenario& s) {
  const Listener listener = make_listener();
  std::vector<Fd> clients;
  for (int count = 0; count < 8; ++count) clients.push_back(connect_to(listener));
  Accepted accepted(s);
  const OperationHandle handle = reference_backend(s).accept_each(listener.socket.get(), 0, accepted.callback());
  s.run_until([&] { return accepted.count() == clients.size(); });
  std::string letters;
  for (std::size_t i = 0; i < clients.size(); ++i) write_text(clients[i].get(), std::string(1, "abcdefgh"[i]));
  for (const Fd& socket : accepted.sockets()) letters += receive_all(socket.get(), 1);
  EXPECT_EQ(letters, "abcdefgh") << "each connection once, in the order in which they came";
  must(reference_backend(s).cancel(handle));
  s.run_until(accepted.last());
}

void the_callback_may_cancel(BackendScenario& s) {
  const Listener listener = make_listener();
  std::vector<Fd> clients;
  clients.push_back(connect_to(listener));
  Accepted accepted(s);
  OperationHandle handle;
  handle = reference_backend(s).accept_each(listener.socket.get(), 0, accepted.callback([&](int) {
    if (accepted.count() == 1) must(reference_backend(s).cancel(handle));
  }));
  s.run_until(accepted.last());
  EXPECT_EQ(accepted.last().res, -ECANCELED);
  EXPECT_GE(accepted.count(), 1u);
}

void an_error_ends_it(BackendScenario& s) {
  const Fd unbound = make_tcp_socket();
  Repeated told(s, "the accepts of a socket that does not listen");
  reference_backend(s).accept_each(unbound.get(), 0, told.callback());
  s.run_until(told.last);
  EXPECT_EQ(told.last.res, -EINVAL);
  Repeated bad(s, "the accepts of no descriptor");
  reference_backend(s).accept_each(closed_fd(), 0, bad.callback());
  s.run_until(bad.last);
  EXPECT_EQ(bad.last.res, -EBADF);
  EXPECT_TRUE(told.results.empty());
  EXPECT_TRUE(bad.results.empty());
}

// What is wrong with one connection, or with the moment, is no reason to stop.
void errors_of_a_connection_do_not_end_it(BackendScenario& s) {
  s.backend();
  for (const char* error : {"ECONNABORTED", "EPROTO", "EINTR", "EAGAIN"}) {
    const Listener listener = make_listener();
    const Fd client = connect_to(listener);
    Accepted accepted(s);
    const FaultScope scope =
        s.inject("cqe/errno:nth=1:fd=" + std::to_string(listener.socket.get()) + ":errno=" + error);
    const OperationHandle handle = reference_backend(s).accept_each(listener.socket.get(), 0, accepted.callback());
    s.run_until([&] { return accepted.count() == 1; });
    must(reference_backend(s).cancel(handle));
    s.run_until(accepted.last());
    EXPECT_EQ(accepted.last().res, -ECANCELED);
  }
}

void destruction_ends_it_once(BackendScenario& s) {
  const Listener listener = make_listener();
  Accepted accepted(s);
  reference_backend(s).accept_each(listener.socket.get(), 0, accepted.callback());
  const Fd client = connect_to(listener);
  s.run_until([&] { return accepted.count() == 1; });
  s.destroy_backend();
  EXPECT_EQ(accepted.last().res, -ECANCELED);
}

}  // namespace

void internal::add_reference_accept(BackendBehaviours& behaviours) {
  ReferenceSuite suite(behaviours, "ReferenceAccept", {IORING_OP_ACCEPT});
  suite.add("AcceptsUntilCancelled", accepts_until_cancelled);
  suite.add("AcceptsWhatCameAtOnce", accepts_what_came_at_once);
  suite.add("TheCallbackMayCancel", the_callback_may_cancel);
  suite.add("AnErrorEndsIt", an_error_ends_it);
  suite.add_injecting("ErrorsOfAConnectionDoNotEndIt", errors_of_a_connection_do_not_end_it,
                      "cqe/errno:errno=ECONNABORTED");
  suite.add("DestructionEndsItOnce", destruction_ends_it_once);
}

}  // namespace assay::conformance
