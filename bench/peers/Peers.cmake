# Event loops that are measured beside Assay's in the same program, each only if it is installed.

set(peers_left_out "")

# A peer that was found is built from these sources; of another the program says why it is not there.
function(assay_add_peer name found package)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINK" ${ARGN})
  if(ASSAY_BENCH_PEERS AND found)
    string(TOUPPER ${name} upper)
    target_sources(assay-bench PRIVATE ${ARG_SOURCES})
    target_link_libraries(assay-bench PRIVATE ${ARG_LINK})
    target_compile_definitions(assay-bench PRIVATE ASSAY_PEER_${upper})
    return()
  endif()
  if(ASSAY_BENCH_PEERS)
    set(line "${name}: not built, its headers were not there at configure time (Debian: ${package})")
  else()
    set(line "${name}: not built, since ASSAY_BENCH_PEERS was off")
  endif()
  message(STATUS "assay-bench: ${line}")
  set(peers_left_out "${peers_left_out}\"${line}\"," PARENT_SCOPE)
endfunction()

if(ASSAY_BENCH_PEERS)
  pkg_check_modules(LIBEVENT_CORE QUIET IMPORTED_TARGET libevent_core>=2.1)
  pkg_check_modules(LIBUV QUIET IMPORTED_TARGET libuv>=1.40)
  # libev has no description of itself.
  find_path(LIBEV_INCLUDE_DIR ev.h)
  find_library(LIBEV_LIBRARY ev)
  find_package(Boost 1.81 QUIET)
endif()

assay_add_peer(libevent "${LIBEVENT_CORE_FOUND}" libevent-dev
  SOURCES peers/libevent.cc
  LINK PkgConfig::LIBEVENT_CORE)

if(LIBEV_INCLUDE_DIR AND LIBEV_LIBRARY)
  set(libev_found TRUE)
  add_library(assay_libev INTERFACE)
  # libevent has an ev.h of its own kind in places; a system directory keeps its place in the search.
  target_include_directories(assay_libev SYSTEM INTERFACE ${LIBEV_INCLUDE_DIR})
  target_link_libraries(assay_libev INTERFACE ${LIBEV_LIBRARY})
endif()
assay_add_peer(libev "${libev_found}" libev-dev
  SOURCES peers/libev.cc
  LINK assay_libev)

assay_add_peer(libuv "${LIBUV_FOUND}" libuv1-dev
  SOURCES peers/libuv.cc
  LINK PkgConfig::LIBUV)

assay_add_peer(asio "${Boost_FOUND}" libboost1.81-dev
  SOURCES peers/asio_epoll.cc peers/asio_io_uring.cc
  LINK Boost::headers)

if(Boost_FOUND)
  # Boost has another name in this file, which its own #include directives have where macros make them.
  set(renamed_boost ${CMAKE_CURRENT_BINARY_DIR}/renamed_boost)
  file(MAKE_DIRECTORY ${renamed_boost})
  file(CREATE_LINK ${Boost_INCLUDE_DIRS}/boost ${renamed_boost}/assay_boost_on_io_uring SYMBOLIC)
  set_property(SOURCE peers/asio_io_uring.cc APPEND PROPERTY COMPILE_OPTIONS -isystem ${renamed_boost})
endif()

set_property(SOURCE peers/peers.cc APPEND PROPERTY COMPILE_DEFINITIONS "ASSAY_PEERS_LEFT_OUT=${peers_left_out}")
