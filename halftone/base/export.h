// Symbol visibility: the library is built with hidden visibility, what carries HALFTONE_API leaves
// it.
#pragma once

#define HALFTONE_API __attribute__((visibility("default")))
