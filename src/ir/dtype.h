// Element types live in base: the device runtime uses them without the IR.
#pragma once

#include "base/dtype.h"
