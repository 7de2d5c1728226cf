#pragma once

#include <cassert>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <variant>

namespace assay {

/// Why something failed: an error code that programs compare, and a sentence that people read.
///
/// `code` is in `std::generic_category()` wherever the cause is an errno. `detail` names the call, the option or the
/// part of the input that failed ("io_uring_setup(entries=8192): ..."); it may be empty.
struct Error {
  std::error_code code;
  std::string detail;

  /// From an errno, positive or negative as the kernel gives it.
  static Error from_errno(int error, std::string detail = {}) {
    return {std::error_code(error < 0 ? -error : error, std::generic_category()), std::move(detail)};
  }

  /// Bad input from a person: `code` is EINVAL and `detail` says what is wrong and what would be right.
  static Error invalid(std::string detail) { return from_errno(EINVAL, std::move(detail)); }

  /// One line for people, without a newline.
  std::string message() const {
    if (detail.empty()) return code.message();
    if (code == std::errc::invalid_argument) return detail;
    return detail + ": " + code.message();
  }

  friend bool operator==(const Error& error, std::errc value) { return error.code == value; }
};

/// A value or the Error that prevented it. Member names are those of std::expected (C++23), so that callers need not
/// change when it arrives. Reading the side that is not there is a programming error and asserts.
template <typename T>
class [[nodiscard]] Result {
 public:
  using value_type = T;
  using error_type = Error;

  // NOLINTNEXTLINE(google-explicit-constructor): as std::expected
  Result(T value) : either_(std::in_place_index<0>, std::move(value)) {}
  // NOLINTNEXTLINE(google-explicit-constructor): `return error;`
  Result(Error error) : either_(std::in_place_index<1>, std::move(error)) {}

  bool has_value() const noexcept { return either_.index() == 0; }
  explicit operator bool() const noexcept { return has_value(); }

  T& value() & { return (assert(has_value()), *std::get_if<0>(&either_)); }
  const T& value() const& { return (assert(has_value()), *std::get_if<0>(&either_)); }
  T&& value() && { return (assert(has_value()), std::move(*std::get_if<0>(&either_))); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  const Error& error() const& { return (assert(!has_value()), *std::get_if<1>(&either_)); }
  Error&& error() && { return (assert(!has_value()), std::move(*std::get_if<1>(&either_))); }

  template <typename U>
  T value_or(U&& fallback) const& {
    return has_value() ? value() : static_cast<T>(std::forward<U>(fallback));
  }

 private:
  // One or the other, so that a success, which a busy loop returns for each operation, constructs no Error.
  std::variant<T, Error> either_;
};

/// Success without a value, or an Error.
template <>
class [[nodiscard]] Result<void> {
 public:
  using value_type = void;
  using error_type = Error;

  Result() = default;
  Result(Error error) : error_(std::move(error)) {}  // NOLINT(google-explicit-constructor): `return error;`

  bool has_value() const noexcept { return !error_.has_value(); }
  explicit operator bool() const noexcept { return has_value(); }
  void value() const { assert(has_value()); }
  const Error& error() const& { return (assert(!has_value()), *error_); }
  Error&& error() && { return (assert(!has_value()), std::move(*error_)); }

 private:
  std::optional<Error> error_;
};

}  // namespace assay
