# halftone_find_torch(): find_package(Torch), for Halftone's own build and for its installed package.
# LibTorch's package file refuses its CUDA builds (what pip installs on Linux unless told otherwise)
# where the CUDA toolkit is not installed. Nothing of Halftone is compiled against the toolkit, so such
# a build is taken as it lies there: headers and libraries.
# Sets Torch_FOUND, Torch_VERSION, Torch_DIR, TORCH_INSTALL_PREFIX, TORCH_INCLUDE_DIRS,
# TORCH_LIBRARIES.
macro(halftone_find_torch)
  find_path(Torch_DIR TorchConfig.cmake PATH_SUFFIXES Torch share/cmake/Torch lib/cmake/Torch)
  if(EXISTS "${Torch_DIR}/../../../lib/libtorch_cuda.so" AND NOT TARGET torch)
    get_filename_component(TORCH_INSTALL_PREFIX "${Torch_DIR}/../../.." ABSOLUTE)
    include("${Torch_DIR}/TorchConfigVersion.cmake")
    set(Torch_VERSION ${PACKAGE_VERSION})
    unset(PACKAGE_VERSION)
    set(TORCH_INCLUDE_DIRS ${TORCH_INSTALL_PREFIX}/include
                           ${TORCH_INSTALL_PREFIX}/include/torch/csrc/api/include)
    add_library(torch INTERFACE IMPORTED)
    add_library(torch_library INTERFACE IMPORTED)  # the name that LibTorch's own package uses too
    target_include_directories(torch INTERFACE ${TORCH_INCLUDE_DIRS})
    target_compile_features(torch INTERFACE cxx_std_17)
    target_link_libraries(torch INTERFACE
      # CUDA's operations register themselves as the library is loaded: no symbol asks for it.
      "-Wl,--no-as-needed,${TORCH_INSTALL_PREFIX}/lib/libtorch.so,--as-needed"
      ${TORCH_INSTALL_PREFIX}/lib/libtorch_cpu.so ${TORCH_INSTALL_PREFIX}/lib/libc10.so
      # The libraries of CUDA lie where only LibTorch's run path leads.
      -Wl,--allow-shlib-undefined)
    target_link_libraries(torch_library INTERFACE torch)
    set(TORCH_LIBRARIES torch torch_library)
    set(Torch_FOUND TRUE)
  else()
    find_package(Torch QUIET CONFIG)
  endif()
endmacro()
