#include "assay/backend/uapi_names.h"

#include <gtest/gtest.h>

#include <bit>
#include <set>
#include <string>

#include "assay/backend/uapi.h"

namespace assay {
namespace {

constexpr UapiClass kClasses[] = {UapiClass::kOpcode,    UapiClass::kFeature,    UapiClass::kSetupFlag,
                                  UapiClass::kEnterFlag, UapiClass::kRegisterOp, UapiClass::kSqeFlag,
                                  UapiClass::kCqeFlag,   UapiClass::kSqRingFlag};

bool is_mask(UapiClass which) { return which != UapiClass::kOpcode && which != UapiClass::kRegisterOp; }

class UapiTable : public testing::TestWithParam<UapiClass> {};

TEST_P(UapiTable, IsOrderedByValueAndNamesAreUniqueAndPrefixed) {
  std::set<std::string_view> names;
  const NamedValue* last = nullptr;
  for (const NamedValue& entry : uapi_table(GetParam())) {
    SCOPED_TRACE(entry.name);
    EXPECT_TRUE(entry.name.starts_with(uapi_prefix(GetParam())));
    EXPECT_TRUE(names.insert(entry.name).second);
    if (last != nullptr) {
      EXPECT_LT(last->value, entry.value);
    }
    EXPECT_GE(entry.since, (KernelVersion{5, 1}));
    if (is_mask(GetParam())) {
      EXPECT_TRUE(std::has_single_bit(entry.value));
    }
    last = &entry;
  }
  EXPECT_FALSE(names.empty());
}

TEST_P(UapiTable, FindsEveryEntryByValueAndByEitherSpelling) {
  for (const NamedValue& entry : uapi_table(GetParam())) {
    EXPECT_EQ(find_uapi(GetParam(), entry.value), &entry);
    EXPECT_EQ(find_uapi(GetParam(), entry.name), &entry);
    const std::string short_spelling = uapi_name(GetParam(), entry.value);
    EXPECT_EQ(find_uapi(GetParam(), short_spelling), &entry);
    EXPECT_EQ(std::string(uapi_prefix(GetParam())) + short_spelling, entry.name);
  }
  EXPECT_EQ(find_uapi(GetParam(), "NO_SUCH_NAME"), nullptr);
  EXPECT_EQ(find_uapi(GetParam(), ""), nullptr);
}

INSTANTIATE_TEST_SUITE_P(Classes, UapiTable, testing::ValuesIn(kClasses));

// The tables are typed from the kernel's history; the header that we build with is an independent witness.
TEST(UapiNames, AgreeWithTheHeader) {
  const auto value = [](UapiClass which, std::string_view name) {
    const NamedValue* entry = find_uapi(which, name);
    EXPECT_NE(entry, nullptr) << name;
    return entry != nullptr ? entry->value : ~0u;
  };
#define ASSAY_EXPECT_AS_IN_HEADER(which, name) EXPECT_EQ(value(which, #name), static_cast<std::uint32_t>(name))
  ASSAY_EXPECT_AS_IN_HEADER(UapiClass::kOpcode, IORING_OP_NOP);
  ASSAY_EXPECT_AS_IN_HEADER(UapiClass::kOpcode, IORING_OP_TIMEOUT);
  ASSAY_EXPECT_AS_IN_HEADER(UapiClass::kOpcode, IORING_OP_ASYNC_CANCEL);
  ASSAY_EXPECT_AS_IN_HEADER(UapiClass::kOpcode, IORING_OP_OPENAT2);
  ASSAY_EXPECT_AS_IN_HEADER(UapiClass::kOpcode, IORING_OP_TEE);
  ASSAY_EXPECT_AS_IN_HEADER(UapiClass::kOpcode, IORING_OP_LINKAT);
  ASSAY_EXPECT_AS_IN_HEADER(UapiClass::kOpcode, IORING_OP_SEND_ZC);
  ASSAY_EXPECT_AS_IN_HEADER(UapiClass::kOpcode, IORING_OP_SENDMSG_ZC);
  ASSAY_EXPECT_AS_IN_HEADER(UapiClass::kFeature, IORING_FEAT_NODROP);
  ASSAY_EXPECT_AS_IN_HEADER(UapiClass::kFeature, IORING_FEAT_EXT_ARG);
  ASSAY_EXPECT_AS_IN_HEADER(UapiClass::kFeature, IORING_FEAT_LINKED_FILE);
  ASSAY_EXPECT_AS_IN_HEADER(UapiClass::kSetupFlag, IORING_SETUP_SQPOLL);
  ASSAY_EXPECT_AS_IN_HEADER(UapiClass::kSetupFlag, IORING_SETUP_DEFER_TASKRUN);
  ASSAY_EXPECT_AS_IN_HEADER(UapiClass::kEnterFlag, IORING_ENTER_EXT_ARG);
  ASSAY_EXPECT_AS_IN_HEADER(UapiClass::kEnterFlag, IORING_ENTER_REGISTERED_RING);
  ASSAY_EXPECT_AS_IN_HEADER(UapiClass::kRegisterOp, IORING_REGISTER_PROBE);
  ASSAY_EXPECT_AS_IN_HEADER(UapiClass::kRegisterOp, IORING_UNREGISTER_PBUF_RING);
  ASSAY_EXPECT_AS_IN_HEADER(UapiClass::kRegisterOp, IORING_REGISTER_FILE_ALLOC_RANGE);
  ASSAY_EXPECT_AS_IN_HEADER(UapiClass::kSqeFlag, IOSQE_IO_HARDLINK);
  ASSAY_EXPECT_AS_IN_HEADER(UapiClass::kSqeFlag, IOSQE_CQE_SKIP_SUCCESS);
  ASSAY_EXPECT_AS_IN_HEADER(UapiClass::kCqeFlag, IORING_CQE_F_NOTIF);
  ASSAY_EXPECT_AS_IN_HEADER(UapiClass::kSqRingFlag, IORING_SQ_TASKRUN);
#undef ASSAY_EXPECT_AS_IN_HEADER
}

TEST(UapiNames, OpcodesHaveNoGap) {
  std::uint32_t next = 0;
  for (const NamedValue& entry : uapi_table(UapiClass::kOpcode)) EXPECT_EQ(entry.value, next++);
}

TEST(UapiNames, ConstantsThatWeNameOurselvesAreInTheTables) {
  EXPECT_EQ(find_uapi(UapiClass::kOpcode, "URING_CMD128")->value, uapi::kOpUringCmd128);
  EXPECT_EQ(find_uapi(UapiClass::kSetupFlag, "NO_MMAP")->value, uapi::kSetupNoMmap);
  EXPECT_EQ(find_uapi(UapiClass::kFeature, "MIN_TIMEOUT")->value, uapi::kFeatMinTimeout);
  EXPECT_EQ(find_uapi(UapiClass::kEnterFlag, "NO_IOWAIT")->value, uapi::kEnterNoIowait);
  EXPECT_EQ(find_uapi(UapiClass::kRegisterOp, "REGISTER_RESIZE_RINGS")->value, uapi::kRegisterResizeRings);
  EXPECT_EQ(find_uapi(UapiClass::kCqeFlag, "BUF_MORE")->value, uapi::kCqeFBufMore);
}

TEST(UapiNames, AValueWithoutANameIsANumber) {
  EXPECT_EQ(uapi_name(UapiClass::kOpcode, 250), "250");
  EXPECT_EQ(find_uapi(UapiClass::kOpcode, 250u), nullptr);
}

TEST(UapiFlags, AreJoinedInOrderOfTheirBits) {
  EXPECT_EQ(uapi_flags(UapiClass::kSqeFlag, 0), "0");
  EXPECT_EQ(uapi_flags(UapiClass::kSqeFlag, IOSQE_IO_LINK), "IO_LINK");
  EXPECT_EQ(uapi_flags(UapiClass::kSqeFlag, IOSQE_ASYNC | IOSQE_IO_LINK), "IO_LINK|ASYNC");
  EXPECT_EQ(uapi_flags(UapiClass::kSqeFlag, IOSQE_ASYNC | 0x100u), "ASYNC|0x100");
  EXPECT_EQ(uapi_flags(UapiClass::kSqeFlag, 0xf000u), "0xf000");
}

TEST(KernelVersion, IsOrderedByRelease) {
  EXPECT_LT((KernelVersion{5, 4}), (KernelVersion{5, 10}));
  EXPECT_LT((KernelVersion{5, 19}), (KernelVersion{6, 0}));
}

}  // namespace
}  // namespace assay
