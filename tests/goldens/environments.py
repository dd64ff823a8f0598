"""Episodes of Gymnasium's CartPole-v1 and Acrobot-v1, for tests/data/environment_test.cpp.

Run: python tests/goldens/environments.py  (writes environments.json beside this file)
Needs: pip install gymnasium numpy

An episode begins at a given state and takes the actions of a rule until it ends or is truncated.
Kept are all actions and rewards' sum, and of the first 40 and the last 3 steps the state (fp64,
every digit), the observation (fp32) and the reward.
"""
import json
import pathlib

import gymnasium
import numpy as np

FIRST, LAST = 40, 3

# Acrobot's first states are fp32 in Gymnasium; these are exact in it.
CARTPOLE = [("left", [0.01, -0.02, 0.03, 0.04], lambda state, t: 0),
            ("drifts", [2.3, 1.5, 0.0, 0.0], lambda state, t: t % 2),
            ("alternates", [-0.04, 0.01, -0.02, 0.03], lambda state, t: t % 2),
            ("balances", [0.02, 0.03, -0.04, 0.01],
             lambda state, t: int(state[2] + state[3] + 0.05 * (state[0] + state[1]) > 0))]
ACROBOT = [("hangs", [0.0625, -0.03125, 0.015625, -0.09375], lambda state, t: 1),
           ("pumps", [0.03125, 0.0625, -0.0625, 0.046875], lambda state, t: 2 if state[3] > 0 else 0),
           ("fast", [1.5, -2.5, 12.0, -28.0], lambda state, t: (t * t) % 3)]


def play(name, first, rule):
    env = gymnasium.make(name)
    env.reset(seed=0)
    kind = np.float32 if name.startswith("Acrobot") else np.float64
    env.unwrapped.state = np.array(first, dtype=kind)
    actions, steps, total, ended = "", [], 0.0, False
    while not ended:
        action = rule(env.unwrapped.state, len(actions))
        observation, reward, terminated, truncated, _ = env.step(action)
        actions += str(action)
        total += reward
        ended = terminated or truncated
        steps.append({"state": [float(v) for v in env.unwrapped.state],
                      "observation": [float(v) for v in observation], "reward": reward})
    kept = {str(t): step for t, step in enumerate(steps)
            if t < FIRST or t >= len(steps) - LAST}
    return {"first": first, "actions": actions, "total": total, "terminated": terminated,
            "truncated": truncated, "steps": kept}


def main():
    golden = {"cartpole": {n: play("CartPole-v1", first, rule) for n, first, rule in CARTPOLE},
              "acrobot": {n: play("Acrobot-v1", first, rule) for n, first, rule in ACROBOT}}
    path = pathlib.Path(__file__).with_name("environments.json")
    path.write_text(json.dumps(golden) + "\n")


if __name__ == "__main__":
    main()
