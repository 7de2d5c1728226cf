#pragma once

#include <cstdint>
#include <string>

#include <gmock/gmock.h>

#include "assay/backend/kernel.h"
#include "assay/mocks/mock_ring.h"
#include "assay/mocks/uring_matchers.h"

namespace assay {

/// A Kernel of GoogleMock expectations, for unit tests that script single calls.
///
/// On its own every call answers -ENOSYS. `serve` gives setup and map a MockRing's memory, so that a Ring can be
/// created; what the test then expects of single calls comes on top:
///
///     testing::NiceMock<MockKernel> kernel;
///     MockRing memory({.sq_entries = 4});
///     kernel.serve(memory);
///     auto ring = Ring::create(kernel, {.sq_entries = 4});
///     EXPECT_CALL(kernel, enter(memory.fd(), 1, 0, 0, _, _)).WillOnce(Return(-EAGAIN));
///
/// Time stands still until the test moves it (`clock`).
class MockKernel : public Kernel {
 public:
  MockKernel() {
    using testing::_;
    using testing::Return;
    ON_CALL(*this, setup).WillByDefault(Return(-ENOSYS));
    ON_CALL(*this, enter).WillByDefault(Return(-ENOSYS));
    ON_CALL(*this, register_op).WillByDefault(Return(-ENOSYS));
    ON_CALL(*this, map).WillByDefault(Return(-ENOSYS));
    ON_CALL(*this, unmap).WillByDefault(Return(-ENOSYS));
    ON_CALL(*this, close).WillByDefault(Return(-ENOSYS));
    ON_CALL(*this, wait_readable).WillByDefault(Return(-ENOSYS));
    ON_CALL(*this, now).WillByDefault([this](clockid_t, timespec* time) {
      *time = clock;
      return 0;
    });
    ON_CALL(*this, name).WillByDefault(Return("mock"));
  }

  MOCK_METHOD(int, setup, (unsigned entries, io_uring_params* params), (override));
  MOCK_METHOD(int, enter,
              (int ring_fd, unsigned to_submit, unsigned min_complete, unsigned flags, const void* arg,
               std::size_t arg_bytes),
              (override));
  MOCK_METHOD(int, register_op, (int ring_fd, unsigned opcode, void* arg, unsigned nr_args), (override));
  MOCK_METHOD(int, map, (int ring_fd, std::uint64_t offset, std::size_t bytes, void** address), (override));
  MOCK_METHOD(int, unmap, (void* address, std::size_t bytes), (override));
  MOCK_METHOD(int, close, (int ring_fd), (override));
  MOCK_METHOD(int, now, (clockid_t clock, timespec* time), (override));
  MOCK_METHOD(int, wait_readable, (int ring_fd, const timespec* timeout), (override));
  MOCK_METHOD(void, relax, (int ring_fd), (override));
  MOCK_METHOD(std::string, name, (), (const, override));

  /// Answers every call from `memory`, which must outlive its use: setup and map give it out, unmap and close take it
  /// back, enter consumes what is offered and posts nothing, registrations succeed. Only defaults are set.
  void serve(MockRing& memory) {
    ON_CALL(*this, setup).WillByDefault([&memory](unsigned entries, io_uring_params* params) {
      return memory.setup(entries, params);
    });
    ON_CALL(*this, map).WillByDefault([&memory](int, std::uint64_t offset, std::size_t bytes, void** address) {
      return memory.map(offset, bytes, address);
    });
    ON_CALL(*this, unmap).WillByDefault(testing::Return(0));
    ON_CALL(*this, close).WillByDefault(testing::Return(0));
    ON_CALL(*this, register_op).WillByDefault(testing::Return(0));
    ON_CALL(*this, enter)
        .WillByDefault([&memory](int, unsigned to_submit, unsigned, unsigned, const void*, std::size_t) {
          return static_cast<int>(memory.consume(to_submit));
        });
  }

  /// What `now` answers, on every clock.
  timespec clock{.tv_sec = 100, .tv_nsec = 0};
};

}  // namespace assay
