#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "assay/backend/backend.h"
#include "assay/backend/uapi_names.h"
#include "assay/conformance/assay_backend_adapter.h"
#include "assay/conformance/backend_case.h"
#include "assay/conformance/backend_scenario.h"

/// What the bodies of the reference backend's behaviours are written with.
namespace assay::conformance {

inline std::span<std::byte> bytes_of(std::string& text) { return std::as_writable_bytes(std::span(text)); }
inline std::span<const std::byte> bytes_of(const std::string& text) { return std::as_bytes(std::span(text)); }
/// Bytes that are only read; a plain `bytes_of` of a text that may be written is ambiguous to the eye.
inline std::span<const std::byte> sent(const std::string& text) { return bytes_of(text); }
/// A literal lives long enough; what is made for the call only does not.
template <std::size_t length>
std::span<const std::byte> sent(const char (&literal)[length]) {
  return std::as_bytes(std::span(literal)).first(length - 1);
}
std::span<const std::byte> sent(std::string&& text) = delete;
inline iovec vector_of(std::string& text) { return {.iov_base = text.data(), .iov_len = text.size()}; }

inline bool has_opcode(const BackendScenario& s, std::uint8_t opcode) { return s.profile().opcodes.test(opcode); }

/// Starts an operation, waits for it, and returns its result. `start(done)` hands `done` to the backend.
template <typename Start>
int result_of(BackendScenario& s, const char* what, Start start) {
  Owed& owed = s.owe(what);
  start(owed.callback());
  EXPECT_FALSE(owed.done()) << what << " was told by the call that started it";
  s.run_until(owed);
  return owed.res;
}

/// What a transfer of at most `bytes` told: at least one byte, since any kernel may move fewer than asked for.
inline std::size_t moved(int res, std::size_t bytes) {
  EXPECT_GE(res, 1);
  EXPECT_LE(res, static_cast<int>(bytes));
  return res > 0 ? static_cast<std::size_t>(res) : 0;
}

/// Adds the behaviours of one suite: as kernels are, and once more with requests hidden that the backend then has to do
/// in another way, as "SUITEWithoutRequests". Kernels that lack one of these are such kernels already.
class ReferenceSuite {
 public:
  ReferenceSuite(std::vector<BackendBehaviour>& behaviours, std::string suite, std::vector<std::uint8_t> hidden)
      : behaviours_(behaviours), suite_(std::move(suite)), hidden_(std::move(hidden)) {}

  void add(const char* name, void (*body)(BackendScenario&), Needs needs = {}) {
    const CapabilitySet reference{Capability::kReference};
    behaviours_.push_back({.suite = suite_, .name = name, .capabilities = reference, .body = body, .needs = needs});
    std::string plan;
    for (const std::uint8_t opcode : hidden_) {
      plan += (plan.empty() ? "" : ",") + ("register/opcode-absent:op=" + uapi_name(UapiClass::kOpcode, opcode));
    }
    needs.opcodes.insert(needs.opcodes.end(), hidden_.begin(), hidden_.end());
    behaviours_.push_back({.suite = suite_ + "WithoutRequests",
                           .name = name,
                           .capabilities = reference,
                           .body = body,
                           .needs = std::move(needs),
                           .own_plan = std::move(plan)});
  }
  /// One that injects faults of this sort itself.
  void add_injecting(const char* name, void (*body)(BackendScenario&), std::string faults, Needs needs = {}) {
    behaviours_.push_back({.suite = suite_,
                           .name = name,
                           .capabilities = {Capability::kReference},
                           .body = body,
                           .needs = std::move(needs),
                           .own_plan = kFaultLayer,
                           .injects = std::move(faults)});
  }

 private:
  std::vector<BackendBehaviour>& behaviours_;
  std::string suite_;
  std::vector<std::uint8_t> hidden_;
};

/// What an operation that goes on was told. Its last call must come exactly once.
struct Repeated {
  explicit Repeated(BackendScenario& s, std::string what) : last(s.owe(std::move(what))) {}

  RepeatedCallback callback(std::function<void(int res)> then = {}) {
    return [this, end = last.callback(), then = std::move(then)](int res, bool more) {
      EXPECT_FALSE(last.done()) << "told after its last call";
      if (more) {
        results.push_back(res);
        if (then) then(res);
      } else {
        end(res);
      }
    };
  }

  /// All but the last.
  std::vector<int> results;
  Owed& last;
};

}  // namespace assay::conformance
