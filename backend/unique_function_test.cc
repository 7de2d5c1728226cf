#include "assay/backend/unique_function.h"

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include <gtest/gtest.h>

namespace assay {
namespace {

using Function = UniqueFunction<int(int)>;

/// Moved as bytes: what captures pointers and numbers, which most callbacks do.
TEST(UniqueFunction, KeepsWhatItCapturedWhereverItIsMoved) {
  int sum = 0;
  Function function = [&sum, step = 3](int times) { return sum += step * times; };
  EXPECT_EQ(function(1), 3);
  Function second = std::move(function);
  EXPECT_FALSE(function);  // NOLINT(bugprone-use-after-move): being empty is what is promised
  EXPECT_EQ(second(2), 9);
  std::optional<Function> third = std::move(second);
  Function fourth;
  fourth = std::move(*third);
  third.reset();
  EXPECT_EQ(fourth(1), 12);
}

TEST(UniqueFunction, StateThatChangesGoesAlong) {
  Function function = [calls = 0](int) mutable { return ++calls; };
  EXPECT_EQ(function(0), 1);
  Function moved = std::move(function);
  EXPECT_EQ(moved(0), 2);
}

/// A short string points into itself, so copying its bytes would not do.
TEST(UniqueFunction, MovesByTheCallablesOwnConstructor) {
  const auto word = std::make_shared<std::string>("here");
  {
    Function function = [text = std::string("short"), word](int) { return static_cast<int>(text.size()); };
    static_assert(sizeof(std::string) + sizeof word <= 48);
    Function moved = std::move(function);
    Function again;
    again = std::move(moved);
    EXPECT_EQ(again(0), 5);
    EXPECT_EQ(word.use_count(), 2);
  }
  EXPECT_EQ(word.use_count(), 1);
}

TEST(UniqueFunction, LargeOnesLieOnTheHeapAndEndOnce) {
  const auto word = std::make_shared<int>(1);
  std::array<int, 32> numbers{};
  numbers[31] = 7;
  {
    Function function = [numbers, word](int i) { return numbers[static_cast<unsigned>(i)]; };
    Function moved = std::move(function);
    EXPECT_EQ(moved(31), 7);
    EXPECT_EQ(word.use_count(), 2);
    moved = nullptr;
    EXPECT_EQ(word.use_count(), 1);
  }
}

TEST(UniqueFunction, AnotherTakesThePlaceOfTheOneBefore) {
  const auto word = std::make_shared<int>(1);
  Function function = [word](int) { return 1; };
  function = [](int) { return 2; };
  EXPECT_EQ(word.use_count(), 1);
  EXPECT_EQ(function(0), 2);
}

TEST(OwnedCallback, OutlivesTheOwnerThatItDestroys) {
  struct Owner {
    explicit Owner(UniqueFunction<void()> function) : callback(std::move(function)) {}
    internal::OwnedCallback<> callback;
  };
  std::optional<Owner> owner;
  int after = 0;
  owner.emplace([&owner, &after, in_the_callable = 5] {
    owner.reset();
    after = in_the_callable;
  });
  EXPECT_FALSE(owner->callback.run());
  EXPECT_EQ(after, 5);
}

TEST(OwnedCallback, IsThereAgainAfterACall) {
  int calls = 0;
  internal::OwnedCallback<> callback([&calls, own = 0]() mutable { calls = ++own; });
  EXPECT_TRUE(callback.run());
  EXPECT_TRUE(callback.run());
  EXPECT_EQ(calls, 2);
}

/// What is running is not to be run: the inner call finds nothing.
TEST(OwnedCallback, DoesNotCallItselfWhileItRuns) {
  int calls = 0;
  std::optional<internal::OwnedCallback<>> callback;
  callback.emplace([&] {
    ++calls;
    EXPECT_TRUE(callback->run());
  });
  EXPECT_TRUE(callback->run());
  EXPECT_EQ(calls, 1);
}

}  // namespace
}  // namespace assay
