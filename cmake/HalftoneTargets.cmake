# Targets: halftone_base (torch-free), halftone_core (with torch) and halftone (both, shared);
# halftone_app (what needs zlib, libjpeg, libpng, expat, utf8proc, SentencePiece) and halftone_cli.

# What every target of this project compiles with. NDEBUG always: LibTorch's class layouts
# (RecordFunction) depend on it and its release builds have it.
add_library(halftone_options INTERFACE)
target_compile_definitions(halftone_options INTERFACE NDEBUG)
target_compile_options(halftone_options INTERFACE
  -fPIC -Wall -Wextra -Wno-unknown-pragmas $<$<BOOL:${HALFTONE_WERROR}>:-Werror>
  ${OpenMP_CXX_FLAGS} -ffp-contract=off)
# As a flag, so that the compiler names its own library: LibTorch's copy has the same SONAME.
target_link_options(halftone_options INTERFACE ${OpenMP_CXX_FLAGS})
target_include_directories(halftone_options INTERFACE ${CMAKE_SOURCE_DIR} ${CMAKE_BINARY_DIR}/generated)
if(CMAKE_BUILD_TYPE STREQUAL "Release")
  set(CMAKE_CXX_FLAGS_RELEASE "-O2")
endif()
if(HALFTONE_SANITIZE)
  set(CMAKE_CXX_FLAGS_DEBUG "-O1 -g1")  # line numbers suffice; full symbols double the build
  target_compile_options(halftone_options INTERFACE -fsanitize=${HALFTONE_SANITIZE} -fno-omit-frame-pointer)
  target_link_options(halftone_options INTERFACE -fsanitize=${HALFTONE_SANITIZE})
endif()

configure_file(halftone/version.h.in generated/halftone/version.h @ONLY)

# The sources of some folders of halftone/.
function(halftone_sources result)
  set(patterns)
  foreach(folder IN LISTS ARGN)
    list(APPEND patterns ${CMAKE_SOURCE_DIR}/halftone/${folder}/*.cpp)
  endforeach()
  file(GLOB sources CONFIGURE_DEPENDS ${patterns})
  set(${result} ${sources} PARENT_SCOPE)
endfunction()

# Several files of a folder are compiled as one: the headers of LibTorch cost more than our own
# code (10 s a file). HALFTONE_UNITY is how many; 1 compiles each alone, which also shows what
# forgot an include.
set(HALFTONE_UNITY 5 CACHE STRING "Files of one folder that are compiled together")
function(halftone_unity target)
  if(HALFTONE_UNITY LESS 2)
    return()
  endif()
  set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_MODE GROUP)
  get_target_property(sources ${target} SOURCES)
  foreach(source IN LISTS sources)
    get_filename_component(folder ${source} DIRECTORY)
    string(MAKE_C_IDENTIFIER "${folder}" folder)
    if(NOT DEFINED count_${folder})
      set(count_${folder} 0)
    endif()
    math(EXPR group "${count_${folder}} / ${HALFTONE_UNITY}")
    math(EXPR count_${folder} "${count_${folder}} + 1")
    string(REGEX REPLACE ".*halftone_|.*tests_" "" short ${folder})
    set_source_files_properties(${source} PROPERTIES UNITY_GROUP ${short}_${group})
  endforeach()
endfunction()

# base/ and kernels/ never see a torch header.
halftone_sources(base_sources base kernels kernels/*)
add_library(halftone_base OBJECT ${base_sources})
target_link_libraries(halftone_base PUBLIC halftone_options)
# gcc 12 warns inside its own AVX-512 headers (GCC bug 105593).
target_compile_options(halftone_base PRIVATE -Wno-uninitialized -Wno-maybe-uninitialized)

halftone_sources(core_sources ops ops/overrides precision scaling optim nn numerics data models metrics train python)
add_library(halftone_core OBJECT ${core_sources})
target_link_libraries(halftone_core PUBLIC halftone_options ${TORCH_LIBRARIES})
target_include_directories(halftone_core SYSTEM PUBLIC ${TORCH_INCLUDE_DIRS})
target_precompile_headers(halftone_core PRIVATE halftone/pch.h)
halftone_unity(halftone_core)

add_library(halftone SHARED $<TARGET_OBJECTS:halftone_base> $<TARGET_OBJECTS:halftone_core>)
add_library(Halftone::halftone ALIAS halftone)
target_link_libraries(halftone PRIVATE halftone_options PUBLIC ${TORCH_LIBRARIES})
target_compile_features(halftone PUBLIC cxx_std_20)
set_target_properties(halftone PROPERTIES VERSION ${PROJECT_VERSION} SOVERSION 0)

if(HALFTONE_BUILD_CLI)
  find_package(ZLIB REQUIRED)
  find_package(JPEG REQUIRED)
  find_package(PNG REQUIRED)
  find_package(EXPAT REQUIRED)
  find_package(CLI11 REQUIRED)
  find_path(UTF8PROC_INCLUDE_DIR utf8proc.h REQUIRED)
  find_library(UTF8PROC_LIBRARY utf8proc REQUIRED)
  find_library(SENTENCEPIECE_LIBRARY sentencepiece REQUIRED)
  find_library(SENTENCEPIECE_TRAIN_LIBRARY sentencepiece_train REQUIRED)
  find_path(SENTENCEPIECE_INCLUDE_DIR sentencepiece_trainer.h REQUIRED)
  halftone_sources(app_sources data/codec data/sets report tasks cli)
  if(app_sources)
    list(REMOVE_ITEM app_sources ${CMAKE_SOURCE_DIR}/halftone/cli/main.cpp)
    add_library(halftone_app OBJECT ${app_sources})
    target_link_libraries(halftone_app PUBLIC halftone_options ${TORCH_LIBRARIES} ZLIB::ZLIB JPEG::JPEG
                          PNG::PNG EXPAT::EXPAT CLI11::CLI11 ${UTF8PROC_LIBRARY}
                          ${SENTENCEPIECE_TRAIN_LIBRARY} ${SENTENCEPIECE_LIBRARY})
    target_include_directories(halftone_app SYSTEM PUBLIC ${UTF8PROC_INCLUDE_DIR}
                               ${SENTENCEPIECE_INCLUDE_DIR})
    target_precompile_headers(halftone_app REUSE_FROM halftone_core)
    halftone_unity(halftone_app)
  endif()
  if(EXISTS ${CMAKE_SOURCE_DIR}/halftone/cli/main.cpp)
    add_executable(halftone_cli halftone/cli/main.cpp)
    target_link_libraries(halftone_cli PRIVATE halftone_app halftone)
    set_target_properties(halftone_cli PROPERTIES OUTPUT_NAME halftone)
  endif()
endif()
