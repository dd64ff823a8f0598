// The umbrella header: everything that is public.
#pragma once

#include "halftone/base/error.h"
#include "halftone/base/isa.h"
#include "halftone/base/log.h"
#include "halftone/base/text.h"
#include "halftone/data/loader.h"
#include "halftone/precision/apply.h"
#include "halftone/precision/format.h"
#include "halftone/precision/parameter_names.h"
#include "halftone/precision/policy.h"
#include "halftone/precision/rounding.h"
#include "halftone/version.h"
