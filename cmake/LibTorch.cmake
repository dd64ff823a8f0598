# Finds LibTorch 2.11 to 2.14: CMAKE_PREFIX_PATH first, then the active Python's torch, then .venv/.
# Result: halftone_find_torch() has run; HALFTONE_TORCH_VERSION is set.
include(cmake/HalftoneTorch.cmake)
set(HALFTONE_TORCH_MIN 2.11)
set(HALFTONE_TORCH_END 2.15)

# LibTorch's own package file warns of an absent kineto, which the CPU wheel never has.
set(CMAKE_MESSAGE_LOG_LEVEL ERROR)
halftone_find_torch()
if(NOT Torch_FOUND)
  foreach(python IN ITEMS python3 ${CMAKE_CURRENT_SOURCE_DIR}/.venv/bin/python)
    execute_process(
      COMMAND ${python} -c "import torch; print(torch.__version__.split('+')[0]); print(torch.utils.cmake_prefix_path)"
      OUTPUT_VARIABLE answer ERROR_QUIET OUTPUT_STRIP_TRAILING_WHITESPACE RESULT_VARIABLE failed)
    if(failed)
      continue()
    endif()
    string(REPLACE "\n" ";" answer "${answer}")
    list(GET answer 0 version)
    list(GET answer 1 prefix)
    if(version VERSION_GREATER_EQUAL HALFTONE_TORCH_MIN AND version VERSION_LESS HALFTONE_TORCH_END)
      set(HALFTONE_TORCH_PYTHON ${python} CACHE FILEPATH "The Python whose torch is used" FORCE)
      list(APPEND CMAKE_PREFIX_PATH ${prefix})
      break()
    endif()
    message(STATUS "torch ${version} of ${python} passed over: Halftone takes 2.11 to 2.14")
  endforeach()
  halftone_find_torch()
endif()
if(NOT Torch_FOUND)
  message(FATAL_ERROR "LibTorch not found. Run scripts/setup.sh (make demo and make test do), or give "
                      "an existing one: cmake -DCMAKE_PREFIX_PATH=/path/to/libtorch")
endif()
unset(CMAKE_MESSAGE_LOG_LEVEL)
set(HALFTONE_TORCH_VERSION ${Torch_VERSION})
if(Torch_VERSION AND (Torch_VERSION VERSION_LESS HALFTONE_TORCH_MIN
                      OR Torch_VERSION VERSION_GREATER_EQUAL HALFTONE_TORCH_END))
  message(FATAL_ERROR "LibTorch ${Torch_VERSION} at ${Torch_DIR}: Halftone takes 2.11 to 2.14")
endif()
find_package(OpenMP REQUIRED COMPONENTS CXX)  # without it at::parallel_for is serial and says nothing
