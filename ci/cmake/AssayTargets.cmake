# How Assay's folders declare their libraries, programs and tests.

include(GNUInstallDirs)

# Headers have one spelling, "assay/<folder>/<name>.h", in the tree and installed: a link makes it so.
set(ASSAY_INCLUDE_DIR ${PROJECT_BINARY_DIR}/include)
file(MAKE_DIRECTORY ${ASSAY_INCLUDE_DIR})
file(CREATE_LINK ${PROJECT_SOURCE_DIR} ${ASSAY_INCLUDE_DIR}/assay SYMBOLIC)

add_library(assay_warnings INTERFACE)
# GCC 12 warns of overlaps inside its own std::string (its bug 105651).
target_compile_options(assay_warnings INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor
                                                $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>
                                                $<$<BOOL:${ASSAY_WERROR}>:-Werror>)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # A designated initialiser that leaves the rest to its defaults is how options are written here.
  target_compile_options(assay_warnings INTERFACE -Wno-missing-field-initializers)
elseif(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  target_compile_options(assay_warnings INTERFACE -Wno-missing-field-initializers -Wno-missing-designated-field-initializers
                                                  -Wno-unknown-warning-option)
endif()

# assay_add_library(<name> SOURCES ... HEADERS ... [LINK ...] [PRIVATE_LINK ...])
#
# Makes the library assay_<name> with the alias assay::<name>, installed and exported with its public headers. Without
# SOURCES it is an interface library.
function(assay_add_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;HEADERS;LINK;PRIVATE_LINK" ${ARGN})
  set(target assay_${name})
  cmake_path(RELATIVE_PATH CMAKE_CURRENT_SOURCE_DIR BASE_DIRECTORY ${PROJECT_SOURCE_DIR} OUTPUT_VARIABLE folder)
  list(TRANSFORM ARG_HEADERS PREPEND ${ASSAY_INCLUDE_DIR}/assay/${folder}/)
  if(ARG_SOURCES)
    add_library(${target} STATIC ${ARG_SOURCES})
    set(scope PUBLIC)
    target_link_libraries(${target} PRIVATE $<BUILD_INTERFACE:assay_warnings> ${ARG_PRIVATE_LINK})
  else()
    add_library(${target} INTERFACE)
    set(scope INTERFACE)
  endif()
  add_library(assay::${name} ALIAS ${target})
  set_target_properties(${target} PROPERTIES EXPORT_NAME ${name} POSITION_INDEPENDENT_CODE ON)
  target_compile_features(${target} ${scope} cxx_std_20)
  target_link_libraries(${target} ${scope} ${ARG_LINK})
  target_sources(${target} ${scope} FILE_SET HEADERS BASE_DIRS ${ASSAY_INCLUDE_DIR} FILES ${ARG_HEADERS})
  install(TARGETS ${target} EXPORT assay-targets FILE_SET HEADERS)
endfunction()

# assay_add_test(<name> SOURCES ... LINK ...)
#
# A GoogleTest program whose tests are CTest's tests. A program without tests fails when it is built.
function(assay_add_test name)
  if(NOT ASSAY_BUILD_TESTS)
    return()
  endif()
  cmake_parse_arguments(ARG "" "" "SOURCES;LINK" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE assay_warnings ${ARG_LINK} GTest::gmock GTest::gtest_main)
  assay_coverage_environment(environment ${name})
  gtest_discover_tests(${name} TEST_PREFIX "${name}:" DISCOVERY_TIMEOUT 60 PROPERTIES TIMEOUT 120 ${environment})
endfunction()

# assay_coverage_environment(<variable> <program>)
#
# The property of a test by which each run of this program leaves its counts in a file of its own, named after the program.
function(assay_coverage_environment variable program)
  set(${variable} "" PARENT_SCOPE)
  if(ASSAY_COVERAGE)
    set(${variable} ENVIRONMENT "LLVM_PROFILE_FILE=${PROJECT_BINARY_DIR}/coverage/${program}-%p.profraw" PARENT_SCOPE)
  endif()
endfunction()
