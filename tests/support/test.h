// What every test includes: GoogleTest, or where there is none (preset cuda) its small stand-in.
#pragma once

#ifdef HALFTONE_MINITEST
#include "tests/support/minitest.h"
#else
#include <gtest/gtest.h>
#endif

#include <string>

#include "halftone/base/error.h"

// The statement throws halftone::Error whose message contains `text`.
#define EXPECT_ERROR(statement, text)                                                             \
  do {                                                                                            \
    std::string halftone_message = "nothing was thrown";                                          \
    try {                                                                                         \
      statement;                                                                                  \
    } catch (const halftone::Error& error) {                                                      \
      halftone_message = error.what();                                                            \
    } catch (const std::exception& error) {                                                       \
      halftone_message = std::string("another exception was thrown: ") + error.what();            \
    }                                                                                             \
    EXPECT_NE(halftone_message.find(text), std::string::npos) << "message: " << halftone_message; \
  } while (false)
