#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include "halftone/data/environment.h"

namespace halftone::data {
namespace {

constexpr double kPi = std::numbers::pi;
constexpr double kLinkMass = 1.0, kLinkLength = 1.0, kLinkCentre = 0.5, kLinkInertia = 1.0;
constexpr double kAcrobotGravity = 9.8;
constexpr double kAcrobotStep = 0.2;  // s
constexpr double kFastest1 = 4 * kPi, kFastest2 = 9 * kPi;

using AcrobotState = std::array<double, 4>;  // both angles, both angular velocities

double square(double x) { return x * x; }

// Sutton and Barto 2018, the equations beside figure 11.5 ("book" in Gymnasium, whose order of
// operations this is).
AcrobotState derivative(const AcrobotState& s, double torque) {
  constexpr double m = kLinkMass, l = kLinkLength, c = kLinkCentre, inertia = kLinkInertia;
  const auto [angle1, angle2, speed1, speed2] = s;
  const double d1 = m * square(c) + m * (square(l) + square(c) + 2 * l * c * std::cos(angle2)) +
                    inertia + inertia;
  const double d2 = m * (square(c) + l * c * std::cos(angle2)) + inertia;
  const double phi2 = m * c * kAcrobotGravity * std::cos(angle1 + angle2 - kPi / 2);
  const double phi1 = -m * l * c * square(speed2) * std::sin(angle2) -
                      2 * m * l * c * speed2 * speed1 * std::sin(angle2) +
                      (m * c + m * l) * kAcrobotGravity * std::cos(angle1 - kPi / 2) + phi2;
  const double turn2 =
      (torque + d2 / d1 * phi1 - m * l * c * square(speed1) * std::sin(angle2) - phi2) /
      (m * square(c) + inertia - square(d2) / d1);
  const double turn1 = -(d2 * turn2 + phi1) / d1;
  return {speed1, speed2, turn1, turn2};
}

AcrobotState moved(const AcrobotState& s, double by, const AcrobotState& slope) {
  AcrobotState result = s;
  for (size_t i = 0; i < s.size(); ++i) result[i] += by * slope[i];
  return result;
}

AcrobotState runge_kutta(const AcrobotState& s, double torque) {
  const AcrobotState k1 = derivative(s, torque);
  const AcrobotState k2 = derivative(moved(s, kAcrobotStep / 2, k1), torque);
  const AcrobotState k3 = derivative(moved(s, kAcrobotStep / 2, k2), torque);
  const AcrobotState k4 = derivative(moved(s, kAcrobotStep, k3), torque);
  AcrobotState result = s;
  for (size_t i = 0; i < s.size(); ++i) {
    result[i] += kAcrobotStep / 6 * (k1[i] + 2 * k2[i] + 2 * k3[i] + k4[i]);
  }
  return result;
}

// Into [-pi, pi].
double wrapped(double angle) {
  while (angle > kPi) angle -= 2 * kPi;
  while (angle < -kPi) angle += 2 * kPi;
  return angle;
}

class Acrobot : public Environment {
 public:
  std::string name() const override { return "acrobot"; }
  int64_t state_size() const override { return 4; }
  int64_t observation_size() const override { return 6; }
  int64_t actions() const override { return 3; }
  int64_t step_limit() const override { return 500; }

  // In fp32, as Gymnasium's first states are.
  void begin(CounterRng& random, std::span<double> state) const override {
    for (double& each : state) each = static_cast<float>(random.between(-0.1, 0.1));
  }

  Outcome step(std::span<double> state, int64_t action) const override {
    const AcrobotState next =
        runge_kutta({state[0], state[1], state[2], state[3]}, static_cast<double>(action) - 1);
    state[0] = wrapped(next[0]);
    state[1] = wrapped(next[1]);
    state[2] = std::clamp(next[2], -kFastest1, kFastest1);
    state[3] = std::clamp(next[3], -kFastest2, kFastest2);
    const bool above = -std::cos(state[0]) - std::cos(state[1] + state[0]) > 1;
    return {above ? 0.0 : -1.0, above};
  }

  void observe(std::span<const double> state, std::span<float> observation) const override {
    for (size_t i = 0; i < 2; ++i) {
      observation[2 * i] = static_cast<float>(std::cos(state[i]));
      observation[2 * i + 1] = static_cast<float>(std::sin(state[i]));
      observation[4 + i] = static_cast<float>(state[2 + i]);
    }
  }
};

}  // namespace

const Environment& acrobot() {
  static const Acrobot environment;
  return environment;
}

}  // namespace halftone::data
