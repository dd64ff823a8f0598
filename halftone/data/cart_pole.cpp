#include <cmath>
#include <numbers>

#include "halftone/data/environment.h"

namespace halftone::data {
namespace {

constexpr double kGravity = 9.8, kCartMass = 1.0, kPoleMass = 0.1;
constexpr double kTotalMass = kPoleMass + kCartMass;
constexpr double kHalfLength = 0.5;  // of the pole
constexpr double kPoleMoment = kPoleMass * kHalfLength;
constexpr double kPush = 10.0;       // N
constexpr double kEulerStep = 0.02;  // s
constexpr double kFarthest = 2.4;    // m
constexpr double kMostLean = 12 * 2 * std::numbers::pi / 360;

// The order of operations is Gymnasium's, so that results are its bit for bit.
class CartPole : public Environment {
 public:
  std::string name() const override { return "cartpole"; }
  int64_t state_size() const override { return 4; }
  int64_t observation_size() const override { return 4; }
  int64_t actions() const override { return 2; }
  int64_t step_limit() const override { return 500; }

  void begin(CounterRng& random, std::span<double> state) const override {
    for (double& each : state) each = random.between(-0.05, 0.05);
  }

  Outcome step(std::span<double> state, int64_t action) const override {
    const double x = state[0], velocity = state[1], angle = state[2], angular = state[3];
    const double force = action == 1 ? kPush : -kPush;
    const double cosine = std::cos(angle), sine = std::sin(angle);
    const double push = (force + kPoleMoment * (angular * angular) * sine) / kTotalMass;
    const double turn = (kGravity * sine - cosine * push) /
                        (kHalfLength * (4.0 / 3.0 - kPoleMass * (cosine * cosine) / kTotalMass));
    const double acceleration = push - kPoleMoment * turn * cosine / kTotalMass;
    state[0] = x + kEulerStep * velocity;
    state[1] = velocity + kEulerStep * acceleration;
    state[2] = angle + kEulerStep * angular;
    state[3] = angular + kEulerStep * turn;
    return {1.0, std::abs(state[0]) > kFarthest || std::abs(state[2]) > kMostLean};
  }

  void observe(std::span<const double> state, std::span<float> observation) const override {
    for (size_t i = 0; i < state.size(); ++i) observation[i] = static_cast<float>(state[i]);
  }
};

}  // namespace

const Environment& cart_pole() {
  static const CartPole environment;
  return environment;
}

}  // namespace halftone::data
