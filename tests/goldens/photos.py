"""What torchvision's transforms make of photographs, for tests/data/photo_batches_test.cpp.

Run: python tests/goldens/photos.py  (writes photos.json beside this file)
Needs: pip install torch torchvision pillow numpy

Resize and CenterCrop: whole pictures, computed by Pillow. RandomResizedCrop.get_params(): how the
crops' areas, ratios and places are distributed, as shares of draws that are at most some value, and
the crops of images that no draw fits.
"""
import json
import math
import pathlib

import numpy as np
import torch
from PIL import Image
from torchvision import transforms

SCALE, RATIO, DRAWS = (0.08, 1.0), (3 / 4, 4 / 3), 200_000
EVALUATION = [  # image height, width; resize; crop
    (46, 31, 16, 14), (31, 61, 16, 14), (9, 7, 16, 14), (12, 90, 8, 7), (20, 20, 10, 10)]
DRAWN_SIZES = [(300, 400), (150, 400)]
UNFIT = [(10, 1000), (1000, 10), (1, 10000), (1, 1)]


def picture(height, width):
    """A pattern that the test writes again."""
    c, y, x = np.meshgrid(np.arange(3), np.arange(height), np.arange(width), indexing="ij")
    return ((71 * c + 13 * y * y + 7 * x * x + 5 * x * y) % 256).astype(np.uint8)


def evaluated(height, width, resize, crop):
    image = Image.fromarray(picture(height, width).transpose(1, 2, 0))
    transform = transforms.Compose([transforms.Resize(resize), transforms.CenterCrop(crop)])
    pixels = np.asarray(transform(image)).transpose(2, 0, 1)
    return {"height": height, "width": width, "resize": resize, "crop": crop,
            "pixels": pixels.flatten().tolist()}


def shares(values, thresholds):
    values = np.asarray(values)
    return [[round(float(t), 6), round(float((values <= t).mean()), 6)] for t in thresholds]


def drawn(height, width):
    image = torch.empty(3, height, width)
    boxes = np.array([transforms.RandomResizedCrop.get_params(image, SCALE, RATIO)
                      for _ in range(DRAWS)])
    top, left, h, w = boxes.T
    most = math.log(RATIO[1])
    return {"height": height, "width": width, "draws": DRAWS,
            "area": shares(h * w / (height * width), np.arange(1, 10) / 10),
            "log_ratio": shares(np.log(w / h), most * np.arange(-4, 5) / 5),
            "top": shares(top, height * np.arange(1, 8) / 8 + 0.5),
            "left": shares(left, width * np.arange(1, 8) / 8 + 0.5)}


def unfit(height, width):
    image = torch.empty(1, 1).expand(3, height, width)
    top, left, h, w = transforms.RandomResizedCrop.get_params(image, SCALE, RATIO)
    return {"height": height, "width": width, "crop": [top, left, h, w]}


def main():
    torch.manual_seed(0)
    golden = {"evaluation": [evaluated(*case) for case in EVALUATION],
              "drawn": [drawn(*size) for size in DRAWN_SIZES],
              "unfit": [unfit(*size) for size in UNFIT]}
    path = pathlib.Path(__file__).with_suffix(".json")
    path.write_text(json.dumps(golden) + "\n")


main()
