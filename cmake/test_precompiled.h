// What nearly every test includes; see farthing_test_main().
#pragma once
#include "precompiled.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>
