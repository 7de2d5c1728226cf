#pragma once

#include <cassert>
#include <concepts>
#include <cstddef>
#include <cstring>
#include <new>
#include <type_traits>
#include <utility>

namespace assay {

namespace internal {
template <typename... Args>
class OwnedCallback;
}

/// A callable that is owned by one holder: std::move_only_function (C++23), as far as callbacks need it.
///
/// A callable of up to 48 bytes, aligned as pointers are, that moves without throwing is kept in place, so a callback
/// that captures a few pointers or a unique_ptr costs no allocation. Calling an empty one is a programming error and
/// asserts.
template <typename Signature>
class UniqueFunction;

template <typename R, typename... Args>
class UniqueFunction<R(Args...)> {
 public:
  UniqueFunction() = default;
  UniqueFunction(std::nullptr_t) {}  // NOLINT(google-explicit-constructor): as the standard's

  template <typename F>
  requires(!std::same_as<std::remove_cvref_t<F>, UniqueFunction> && std::is_invocable_r_v<R, std::decay_t<F>&, Args...>)
      UniqueFunction(F&& callable) {  // NOLINT(google-explicit-constructor): a lambda is passed where one is expected
    using Callable = std::decay_t<F>;
    if constexpr (kFits<Callable>) {
      new (&storage_) Callable(std::forward<F>(callable));
      table_ = &kInPlace<Callable>;
    } else {
      new (&storage_) Callable*(new Callable(std::forward<F>(callable)));
      table_ = &kOnHeap<Callable>;
    }
  }

  UniqueFunction(UniqueFunction&& other) noexcept { take(other); }
  UniqueFunction& operator=(UniqueFunction&& other) noexcept {
    if (this != &other) {
      reset();
      take(other);
    }
    return *this;
  }
  UniqueFunction(const UniqueFunction&) = delete;
  UniqueFunction& operator=(const UniqueFunction&) = delete;
  ~UniqueFunction() { reset(); }

  explicit operator bool() const noexcept { return table_ != nullptr; }
  R operator()(Args... args) {
    assert(table_ != nullptr);
    return table_->call(&storage_, std::forward<Args>(args)...);
  }

 private:
  template <typename... OwnerArgs>
  friend class internal::OwnedCallback;

  static constexpr std::size_t kInPlaceBytes = 48;
  // Those that are null have nothing to do: what is moved is a copy of the bytes, what is destroyed is forgotten.
  struct Table {
    R (*call)(void* storage, Args&&... args);
    void (*move)(void* from, void* to) noexcept;  // leaves nothing to destroy in `from`
    void (*destroy)(void* storage) noexcept;
  };

  template <typename F>
  static constexpr bool kFits = sizeof(F) <= kInPlaceBytes &&
                                alignof(F) <= alignof(void*) && std::is_nothrow_move_constructible_v<F>;

  template <typename F>
  static constexpr Table table_in_place() {
    Table table = {
        [](void* storage, Args&&... args) -> R { return (*static_cast<F*>(storage))(std::forward<Args>(args)...); },
        nullptr, nullptr};
    if constexpr (!std::is_trivially_copyable_v<F>) {
      table.move = [](void* from, void* to) noexcept {
        new (to) F(std::move(*static_cast<F*>(from)));
        static_cast<F*>(from)->~F();
      };
      table.destroy = [](void* storage) noexcept { static_cast<F*>(storage)->~F(); };
    }
    return table;
  }
  template <typename F>
  static constexpr Table kInPlace = table_in_place<F>();

  template <typename F>
  static constexpr Table kOnHeap = {
      [](void* storage, Args&&... args) -> R { return (**static_cast<F**>(storage))(std::forward<Args>(args)...); },
      nullptr, [](void* storage) noexcept { delete *static_cast<F**>(storage); }};

  void take(UniqueFunction& other) noexcept {
    table_ = std::exchange(other.table_, nullptr);
    if (table_ == nullptr) return;
    if (table_->move != nullptr) {
      table_->move(&other.storage_, &storage_);
    } else {
      std::memcpy(&storage_, &other.storage_, kInPlaceBytes);
    }
  }
  void reset() noexcept {
    const Table* table = std::exchange(table_, nullptr);
    if (table != nullptr && table->destroy != nullptr) table->destroy(&storage_);
  }

  /// While it is empty, its owner may keep a pointer in its place.
  void keep(bool* pointer) noexcept { std::memcpy(&storage_, &pointer, sizeof pointer); }
  bool* kept() const noexcept {
    bool* pointer = nullptr;
    std::memcpy(&pointer, &storage_, sizeof pointer);
    return pointer;
  }

  alignas(void*) std::byte storage_[kInPlaceBytes];
  const Table* table_ = nullptr;
};

namespace internal {

/// A callback whose owner may be destroyed by it. The callable is moved out of the owner for the time of the call, so
/// that it outlives an owner that goes away meanwhile; where it was is said then who is to be told of that.
template <typename... Args>
class OwnedCallback {
 public:
  explicit OwnedCallback(UniqueFunction<void(Args...)> function) : function_(std::move(function)) {
    if (!function_) function_.keep(nullptr);
  }
  OwnedCallback(const OwnedCallback&) = delete;
  OwnedCallback& operator=(const OwnedCallback&) = delete;
  ~OwnedCallback() {
    if (function_) return;
    if (bool* gone = function_.kept()) *gone = true;
  }

  /// Calls, unless it is being called. False when the owner was destroyed by the call and must not be touched any more.
  bool run(Args... args) {
    if (!function_) return true;
    bool gone = false;
    UniqueFunction<void(Args...)> function = std::move(function_);
    function_.keep(&gone);
    function(args...);
    if (gone) return false;
    function_ = std::move(function);
    return true;
  }

 private:
  UniqueFunction<void(Args...)> function_;
};

/// The callback of an operation that goes on: called again and again, and a last time. A call may destroy the backend,
/// which then calls it the last time while it still runs, so the callable is let go when the outer call is over.
template <typename Signature>
class LastingCallback {
 public:
  LastingCallback& operator=(UniqueFunction<Signature> function) {
    function_ = std::move(function);
    over_ = false;
    return *this;
  }
  explicit operator bool() const noexcept { return static_cast<bool>(function_); }
  bool running() const noexcept { return running_; }

  /// One of its calls; none any more when the last one came.
  template <typename... Args>
  void tell(Args&&... args) {
    if (over_) return;
    const bool outer = std::exchange(running_, true);
    function_(std::forward<Args>(args)...);
    running_ = outer;
    if (over_ && !outer) function_ = nullptr;
  }
  /// The last one.
  template <typename... Args>
  void end(Args&&... args) {
    over_ = true;
    if (running_) {
      function_(std::forward<Args>(args)...);
    } else {
      std::exchange(function_, nullptr)(std::forward<Args>(args)...);
    }
  }

 private:
  UniqueFunction<Signature> function_;
  bool running_ = false;
  bool over_ = false;
};

}  // namespace internal
}  // namespace assay
