// The umbrella header: everything that is public.
#pragma once

#include "halftone/base/error.h"
#include "halftone/base/isa.h"
#include "halftone/base/log.h"
#include "halftone/data/loader.h"
#include "halftone/version.h"
