#pragma once

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "assay/conformance/reference_actions.h"
#include "assay/conformance/socket_actions.h"

/// What the bodies of the reference backend's receives are written with.
namespace assay::conformance {

/// The one of ring behaviours is another.
using Pool = assay::BufferPool;

/// The size of its buffers.
inline constexpr std::size_t kBufferBytes = 64;

inline Pool new_pool(BackendScenario& s, unsigned count = 4) {
  return must(Pool::create(reference_backend(s), {.count = count, .bytes = kBufferBytes}));
}

inline std::string text_of(std::span<const std::byte> data) {
  return {reinterpret_cast<const char*>(data.data()), data.size()};
}

/// What a receive into a pool was told. Buffers are kept if that is asked for, else given back at once. A body that
/// ends early leaves its receive to the backend's end, which finds nothing here to tell.
struct Received {
  explicit Received(BackendScenario& s, std::string what = "a receive") : last(s.owe(std::move(what))) {}
  Received(const Received&) = delete;
  Received& operator=(const Received&) = delete;
  ~Received() { *self = nullptr; }

  ReceiveCallback callback(std::function<void()> then = {}) {
    return [self = self, &last = last, end = last.callback(), then = std::move(then)](int res, ProvidedBuffer data,
                                                                                      bool more) {
      EXPECT_FALSE(last.done()) << "told after its last call";
      if (!more) {
        EXPECT_FALSE(static_cast<bool>(data)) << "the last call has no buffer";
        end(res);
        return;
      }
      EXPECT_EQ(static_cast<std::size_t>(res), data.size());
      if (*self == nullptr) return;
      (*self)->take(std::move(data));
      if (then) then();
    };
  }

  void take(ProvidedBuffer data) {
    text += text_of(data.data());
    ++pieces;
    if (keeps) kept.push_back(std::move(data));
  }

  std::string text;
  unsigned pieces = 0;
  bool keeps = false;
  std::deque<ProvidedBuffer> kept;
  Owed& last;
  std::shared_ptr<Received*> self = std::make_shared<Received*>(this);
};

inline void cancel_and_see(BackendScenario& s, OperationHandle handle, const Owed& last) {
  must(reference_backend(s).cancel(handle));
  s.run_until(last);
  EXPECT_EQ(last.res, -ECANCELED);
}

/// Text in which a piece that is lost, doubled or in the wrong place shows.
inline std::string numbers(std::size_t bytes) {
  std::string text;
  for (unsigned i = 0; text.size() < bytes; ++i) text += std::to_string(i) + ' ';
  text.resize(bytes);
  return text;
}

/// Sends a datagram.
inline void send_to(const BoundSocket& from, const BoundSocket& to, const std::string& text) {
  ASSERT_EQ(::sendto(from.socket.get(), text.data(), text.size(), 0, reinterpret_cast<const sockaddr*>(&to.address),
                     sizeof to.address),
            static_cast<ssize_t>(text.size()));
}

}  // namespace assay::conformance
