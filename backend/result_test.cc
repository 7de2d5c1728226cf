#include "assay/backend/result.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <memory>
#include <string>

namespace assay {
namespace {

Result<int> half_of(int number) {
  if (number % 2 != 0) return Error::invalid(std::to_string(number) + " is odd");
  return number / 2;
}

TEST(Error, TakesAnErrnoOfEitherSign) {
  EXPECT_EQ(Error::from_errno(ENOMEM).code, Error::from_errno(-ENOMEM).code);
  EXPECT_TRUE(Error::from_errno(-ENOMEM) == std::errc::not_enough_memory);
  EXPECT_FALSE(Error::from_errno(-ENOMEM) == std::errc::invalid_argument);
}

TEST(Error, MessageIsOneLineThatNamesTheCallAndTheCause) {
  EXPECT_EQ(Error::from_errno(-EPERM).message(), "Operation not permitted");
  EXPECT_EQ(Error::from_errno(-EPERM, "io_uring_setup(entries=8)").message(),
            "io_uring_setup(entries=8): Operation not permitted");
}

TEST(Error, BadInputNeedsNoCauseBesideItsLine) {
  EXPECT_EQ(Error::invalid("unknown point 'x'").message(), "unknown point 'x'");
}

TEST(Result, HoldsTheValueOrTheError) {
  const Result<int> good = half_of(4);
  ASSERT_TRUE(good.has_value());
  EXPECT_EQ(*good, 2);
  EXPECT_EQ(good.value(), 2);
  const Result<int> bad = half_of(3);
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().detail, "3 is odd");
}

TEST(Result, GivesAwayWhatCanOnlyBeMoved) {
  Result<std::unique_ptr<int>> owner = std::make_unique<int>(7);
  const std::unique_ptr<int> taken = std::move(owner).value();
  EXPECT_EQ(*taken, 7);
  Result<std::string> text = std::string("text");
  EXPECT_EQ(text->size(), 4u);
  text.value() += "s";
  EXPECT_EQ(*text, "texts");
}

TEST(Result, OfNothingTellsOnlyWhetherItWorked) {
  const Result<void> good;
  EXPECT_TRUE(good);
  good.value();
  const Result<void> bad = Error::from_errno(EIO, "fsync");
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().message(), "fsync: Input/output error");
}

}  // namespace
}  // namespace assay
