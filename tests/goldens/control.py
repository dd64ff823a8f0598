"""Outputs and gradients of the networks of models/control.h, for tests/models/control_test.cpp.

Run: python tests/goldens/control.py  (writes control.json beside this file)

Both networks are written out in fp64, weights filled as models.py says; observation (n, i) is
unit("observation"). The loss is the mean of all outputs' squares.
"""
import json
import pathlib

import torch
from torch import nn

from models import fill, gradient_pairs, short, unit

BATCH, OBSERVATION, ACTIONS, WIDTH = 5, 4, 3, 8


class Dqn(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(OBSERVATION, WIDTH), nn.Linear(WIDTH, WIDTH)
        self.value, self.advantage = nn.Linear(WIDTH, 1), nn.Linear(WIDTH, ACTIONS)

    def forward(self, x):
        h = torch.relu(self.fc2(torch.relu(self.fc1(x))))
        advantage = self.advantage(h)
        scores = self.value(h) + advantage - advantage.mean(1, keepdim=True)
        return scores, scores.amax(1)


class Ppo(nn.Module):
    def __init__(self):
        super().__init__()
        self.actor1, self.actor2 = nn.Linear(OBSERVATION, WIDTH), nn.Linear(WIDTH, WIDTH)
        self.policy = nn.Linear(WIDTH, ACTIONS)
        self.critic1, self.critic2 = nn.Linear(OBSERVATION, WIDTH), nn.Linear(WIDTH, WIDTH)
        self.value = nn.Linear(WIDTH, 1)

    def forward(self, x):
        scores = self.policy(torch.tanh(self.actor2(torch.tanh(self.actor1(x)))))
        value = self.value(torch.tanh(self.critic2(torch.tanh(self.critic1(x)))))
        return scores, value.squeeze(1)


def main():
    golden = {"batch": BATCH, "observation": OBSERVATION, "actions": ACTIONS, "width": WIDTH}
    for name, net in (("dqn", Dqn().double()), ("ppo", Ppo().double())):
        with torch.no_grad():
            for key, parameter in net.named_parameters():
                parameter.copy_(fill(key, parameter.shape))
        x = torch.from_numpy(unit(BATCH * OBSERVATION, "observation")).view(BATCH, OBSERVATION)
        scores, value = net(x)
        loss = torch.cat([scores.flatten(), value]).square().mean()
        loss.backward()
        golden[name] = {"loss": short(loss), "scores": [short(v) for v in scores.flatten()],
                        "value": [short(v) for v in value], "gradients": gradient_pairs(net)}
    path = pathlib.Path(__file__).with_name("control.json")
    path.write_text(json.dumps(golden) + "\n")


if __name__ == "__main__":
    main()
