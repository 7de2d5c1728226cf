// Creation of the reference backend with every option at once: what fails on the way leaves nothing behind, and what
// the kernel does not have is named.

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <algorithm>
#include <chrono>
#include <string>

#include "assay/conformance/backend_suites.h"
#include "assay/conformance/reference_actions.h"
#include "assay/conformance/resources.h"
#include "assay/conformance/socket_actions.h"

namespace assay::conformance {
namespace {

using namespace std::chrono_literals;

/// Everything that goes together, the poll thread left out.
BackendOptions every_option() {
  return {.capacity = 64,
          .min_capacity = 16,
          .sq_entries = 16,
          .max_submit = 8,
          .max_get = 16,
          .defer_taskrun = true,
          .coop_taskrun = true,
          .register_ring_fd = true,
          .batch_size = 2,
          .batch_timeout = 10us,
          .registered_fds = 8,
          .initial_provided_buffers = {.count = 4, .bytes = 64}};
}

BackendOptions with_poll_thread() {
  BackendOptions options = every_option();
  options.defer_taskrun = false;
  options.poll_sq = true;
  options.sq_idle = 1ms;
  options.sq_group_name = "reference_life";
  options.poll_sq_immediate_io = true;
  return options;
}

/// Each call of creation and of the first run fails in turn, until none is left that they make.
void nothing_is_left_wherever_it_fails(BackendScenario& s, const BackendOptions& options) {
  for (const char* point : {"setup/enomem", "map/enomem", "register/errno:errno=ENOMEM"}) {
    unsigned made = 0;
    for (int nth = 1;; ++nth) {
      ASSERT_LT(nth, 100) << "creation makes more and more calls";
      const Resources before = held_resources();
      Result<FaultScope> scope = s.faults().apply(std::string(point) + ":nth=" + std::to_string(nth));
      must(scope ? Result<void>() : Result<void>(scope.error()));
      {
        auto backend = Backend::create(s.kernel(), options);
        made += backend ? 1 : 0;
        // What is put off to the first run may fail there.
        const auto run = backend ? (*backend)->loop(LoopMode::kNonblock) : Result<LoopStatus>(backend.error());
        EXPECT_TRUE(run || run.error() == std::errc::not_enough_memory) << run.error().message();
        // A ring that could not give its registered descriptor back would stay until its thread ends.
        scope->end();
      }
      EXPECT_EQ(resource_difference(before, held_resources()), "") << point << " at call " << nth;
      if (s.faults().report().rules.back().firings == 0) break;
    }
    EXPECT_NE(made, 0u) << "it is made when nothing fails";
  }
}

void nothing_is_left_wherever_creation_fails(BackendScenario& s) {
  nothing_is_left_wherever_it_fails(s, every_option());
}

void nothing_is_left_wherever_creation_with_a_poll_thread_fails(BackendScenario& s) {
  nothing_is_left_wherever_it_fails(s, with_poll_thread());
}

void what_could_not_be_had_is_named(BackendScenario& s) {
  const FaultScope scope = s.inject("register/errno:errno=ENOMEM:op=REGISTER_FILES2");
  auto backend = must(Backend::create(s.kernel(), {.registered_fds = 8}));
  const auto unmet = backend->unmet_options();
  EXPECT_TRUE(std::any_of(unmet.begin(), unmet.end(),
                          [](const std::string& line) { return line.find("registered_fds: ") == 0; }));
}

void the_pool_of_the_options_serves(BackendScenario& s) {
  auto backend = must(Backend::create(s.kernel(), every_option()));
  ASSERT_NE(backend->provided_buffers(), nullptr);
  EXPECT_EQ(backend->provided_buffers()->count(), 4u);
  const auto unmet = backend->unmet_options();
  const bool is_named = std::any_of(
      unmet.begin(), unmet.end(), [](const std::string& line) { return line.find("initial_provided_buffers: ") == 0; });
  EXPECT_EQ(is_named, !backend->provided_buffers()->in_kernel());
  SocketPair pair = make_stream_pair();
  std::size_t bytes = 0;
  int last = 1;
  backend->recv_each(pair.near.get(), *backend->provided_buffers(), 0,
                     [&](int res, ProvidedBuffer data, bool more) { more ? bytes += data.size() : last = res; });
  write_text(pair.far.get(), "hello");
  pair.far.reset();
  for (int turns = 0; turns < 100 && last != 0; ++turns) must(backend->loop(LoopMode::kOnce));
  EXPECT_EQ(last, 0);
  EXPECT_EQ(bytes, 5u);
}

}  // namespace

void internal::add_reference_life(BackendBehaviours& behaviours) {
  ReferenceSuite suite(behaviours, "ReferenceLife", {});
  suite.add_injecting("NothingIsLeftWhereverCreationFails", nothing_is_left_wherever_creation_fails,
                      "register/errno:errno=ENOMEM");
  suite.add_injecting("NothingIsLeftWhereverCreationWithAPollThreadFails",
                      nothing_is_left_wherever_creation_with_a_poll_thread_fails, "register/errno:errno=ENOMEM");
  // Before 5.19 tables are made by another call.
  suite.add_injecting("WhatCouldNotBeHadIsNamed", what_could_not_be_had_is_named, "register/errno:errno=ENOMEM",
                      {.opcodes = {IORING_OP_SOCKET}});
  suite.add_injecting("ThePoolOfTheOptionsServes", the_pool_of_the_options_serves, kFaultLayer);
}

}  // namespace assay::conformance
