"""What pycocotools and VOC's definition make of boxes, for tests/metrics/box_scores_test.cpp.

Run: python tests/goldens/box_scores.py  (needs pycocotools; writes box_scores.json beside it)
"""
import contextlib
import io
import json
import pathlib
import random

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

CASES = [  # name, images, classes, most truths per image, share found, most false per image
    ("few", 2, 1, 3, 0.8, 2), ("crowded", 6, 3, 12, 0.9, 8), ("poor", 8, 3, 5, 0.4, 20),
    ("many detections", 1, 1, 60, 1.0, 120), ("one class without truths", 6, 4, 6, 0.9, 4),
    ("difficult objects", 8, 3, 10, 0.9, 6)]
IGNORED_AREA = 1e11  # beyond pycocotools' range "all": what it neither misses nor calls a fault


def draw(name, images, classes, most, found, false):
    """Coordinates are whole or half pixels, which fp32 holds; scores repeat now and then."""
    chance = random.Random(name)
    truths, detections = [], []
    absent = classes - 1 if "without" in name else None
    for image in range(images):
        for _ in range(chance.randint(0 if image else most, most)):
            klass = chance.randrange(classes)
            if klass == absent:
                continue
            x, y = chance.randrange(100), chance.randrange(100)
            box = [x, y, x + chance.randint(8, 40), y + chance.randint(8, 40)]
            difficult = int("difficult" in name and chance.random() < 0.3)
            truths.append([image, klass, *box, difficult])
            for _ in range(chance.randint(1, 2) if chance.random() < found else 0):
                moved = [edge + chance.randint(-6, 6) / 2 for edge in box]
                detections.append([image, klass, *moved, round(chance.random(), 2)])
        for _ in range(chance.randint(0, false)):
            x, y = chance.randrange(100), chance.randrange(100)
            box = [x, y, x + chance.randint(8, 40), y + chance.randint(8, 40)]
            detections.append([image, chance.randrange(classes), *box, round(chance.random(), 2)])
    return truths, detections


def coco(images, classes, truths, detections):
    """mAP@0.5, mAP@[.5:.95] and AP@0.5 of each class (-1 where there is none)."""
    def entry(number, image, klass, left, top, right, bottom, difficult=0, **more):
        return {"id": number, "image_id": image + 1, "category_id": klass + 1, "iscrowd": 0,
                "bbox": [left, top, right - left, bottom - top],
                "area": IGNORED_AREA if difficult else (right - left) * (bottom - top), **more}

    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = {
            "info": {}, "images": [{"id": i + 1} for i in range(images)],
            "categories": [{"id": c + 1} for c in range(classes)],
            "annotations": [entry(n + 1, *row) for n, row in enumerate(truths)]}
        truth.createIndex()
        found = truth.loadRes([entry(n + 1, *row[:-1], score=row[-1])
                               for n, row in enumerate(detections)])
        evaluation = COCOeval(truth, found, "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
    precision = evaluation.eval["precision"][:, :, :, 0, 2]  # (IoU, recall, class)

    def mean(values):
        values = values[values > -1]
        return float(values.mean()) if values.size else -1

    return mean(precision[0]), mean(precision), [mean(precision[0, :, c]) for c in range(classes)]


def iou(a, b):
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - width * height
    return width * height / union


def voc(classes, truths, detections):
    """VOC's 11 points (Everingham et al. 2010, 4.2): the best truth, once; without its + 1 pixel."""
    values = []
    for klass in range(classes):
        mine = [t for t in truths if t[1] == klass]
        wanted = sum(not t[6] for t in mine)
        if not wanted:
            continue
        taken, right = set(), []
        order = sorted((d for d in detections if d[1] == klass), key=lambda d: d[0])
        for d in sorted(order, key=lambda d: -d[-1]):
            best, which = 0, None
            for n, t in enumerate(mine):
                if t[0] == d[0] and iou(d[2:6], t[2:6]) > best:
                    best, which = iou(d[2:6], t[2:6]), n
            if best >= 0.5 and mine[which][6]:
                continue  # difficult
            right.append(best >= 0.5 and which not in taken)
            if right[-1]:
                taken.add(which)
        hits = np.cumsum(right)
        recall, precision = hits / wanted, hits / np.arange(1, len(hits) + 1)
        points = [max(precision[recall >= k / 10], default=0) for k in range(11)]
        values.append(sum(points) / 11)
    return sum(values) / len(values)


def measure(name, images, classes, most, found, false):
    truths, detections = draw(name, images, classes, most, found, false)
    at_half, overall, by_class = coco(images, classes, truths, detections)
    return {"name": name, "images": images, "classes": classes, "truths": truths,
            "detections": detections, "map_50": at_half, "map": overall, "ap_50": by_class,
            "voc": float(voc(classes, truths, detections))}


def main():
    cases = [json.dumps(measure(*case)) for case in CASES]
    path = pathlib.Path(__file__).with_name("box_scores.json")
    path.write_text("[\n" + ",\n".join(cases) + "\n]\n")


if __name__ == "__main__":
    main()
