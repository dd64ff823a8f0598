// An override's kernel, or LibTorch's where there is no memory for the former's workspace.
#pragma once

#include <new>

namespace halftone::ops {

// Warns that LibTorch's kernel served a call of `operation` for want of memory; once for each
// operation of the process. Thread-safe.
void say_out_of_workspace(const char* operation);

// own(), or stock() where that throws std::bad_alloc, whatever it has written to outputs until
// then: own() must leave the operands of stock() as they were. operation: static storage.
template <class Own, class Stock>
auto own_or_stock(const char* operation, Own&& own, Stock&& stock) -> decltype(stock()) {
  try {
    return own();
  } catch (const std::bad_alloc&) {
    say_out_of_workspace(operation);
  }
  return stock();
}

}  // namespace halftone::ops
