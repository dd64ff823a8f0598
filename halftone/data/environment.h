// Environments of reinforcement learning, as equations: what a state becomes under an action.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "halftone/base/export.h"
#include "halftone/data/random.h"

namespace halftone::data {

struct Outcome {
  double reward = 0;
  bool terminated = false;  // the state is final; a limit on the number of steps is not among it
};

// Stateless; thread-safe. States are in fp64, observations, what a network sees, in fp32, as in
// Gymnasium.
class HALFTONE_API Environment {
 public:
  virtual ~Environment() = default;

  virtual std::string name() const = 0;
  virtual int64_t state_size() const = 0;
  virtual int64_t observation_size() const = 0;
  virtual int64_t actions() const = 0;
  virtual int64_t step_limit() const = 0;  // after which an episode is truncated

  // Draws an episode's first state.
  virtual void begin(CounterRng& random, std::span<double> state) const = 0;
  // state: replaced by the next one. action: 0 to actions() - 1.
  virtual Outcome step(std::span<double> state, int64_t action) const = 0;
  virtual void observe(std::span<const double> state, std::span<float> observation) const = 0;
};

// A cart of 1 kg that balances a pole of 0.1 kg and 1 m (Barto, Sutton, Anderson 1983), Euler steps
// of 20 ms; actions push left and right with 10 N. 1 for each step until the pole leans more than
// 12 degrees or the cart is 2.4 m off. Gymnasium's CartPole-v1. State and observation: position,
// velocity, angle, angular velocity.
HALFTONE_API const Environment& cart_pole();

// Two links of 1 m and 1 kg that hang from the first one's end; a torque of -1, 0 or 1 Nm between
// them is to swing the tip 1 m above the bar (Sutton 1996), Runge-Kutta steps of 0.2 s. -1 for each
// step but the last. Gymnasium's Acrobot-v1. State: both angles and their velocities; observation:
// cosine and sine of either angle, velocities.
HALFTONE_API const Environment& acrobot();

}  // namespace halftone::data
