// A static group that trains on two workers, for scripted schedules.
#pragma once
#include <gtest/gtest.h>

#include "tests/coordinator/membership/drive.hpp"

namespace plumbline {

inline RunFacts static_facts(int workers = 2, std::int64_t steps = 8) {
  RunFacts facts;
  facts.workers = workers;
  facts.lease.steps = steps;
  facts.launcher = "mpirun";
  facts.resume_command = "plumbline resume RUN";
  facts.start_command = "mpirun -np 2 plumbline-worker --join RUN";
  facts.log_place = "RUN/logs/launcher.log";
  return facts;
}

/// A run that trains on two workers.
class DecideTest : public testing::Test {
 protected:
  DecideTest() : drive(static_facts()) {
    drive.feed(event::Begin{});
    drive.join(2);
  }
  Drive drive;
};

}  // namespace plumbline
