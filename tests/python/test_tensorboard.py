"""Event files that Halftone writes, read by TensorBoard's own reader."""

import sys
import unittest

sys.path.insert(0, __file__.rsplit("/", 1)[0])
from exchange import ExchangeTest, needs


@needs("tensorboard")
class TensorBoard(ExchangeTest):
    writes = "EventsForTensorBoard"

    def test_its_reader_opens_them_and_a_resumed_run_replaces_the_lost_steps(self):
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        events = EventAccumulator(str(self.folder / "events"))
        events.Reload()
        losses = events.Scalars("train/loss")
        self.assertEqual([each.step for each in losses], list(range(1, 11)))
        for each in losses:
            self.assertAlmostEqual(each.value, 1 / each.step, places=6)
        self.assertEqual([each.value for each in events.Scalars("train/scale")], [65536] * 10)
        self.assertEqual([(each.step, each.value) for each in events.Scalars("eval/accuracy")],
                         [(10, 0.5)])


if __name__ == "__main__":
    unittest.main()
