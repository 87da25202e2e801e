"""Makes event_file_golden.tfevents with TensorBoard's own protocol buffers and record writer (tensorboard 2.21.0, protobuf 7.36.2):

    python3 tests/common/record/make_event_goldens.py
"""

import pathlib

from tensorboard.compat.proto import event_pb2
from tensorboard.summary.writer.record_writer import RecordWriter

Event, SessionLog = event_pb2.Event, event_pb2.SessionLog

events = [Event(wall_time=1764000000.25, file_version="brain.Event:2")]
for step, values in ((0, {"heldout/polite/loss": 3.5}), (1, {"loss": 0.1, "norm/polite/rewards/margins": -1e-3}),
                     (300, {"loss": 1e30, "norm/höflich/loss": 2.0, "zero": 0.0})):
    event = Event(wall_time=1764000001.5 + step, step=step)
    for tag, value in values.items():
        event.summary.value.add(tag=tag, simple_value=value)
    events.append(event)
events.append(Event(wall_time=1764000002.0, step=2, session_log=SessionLog(status=SessionLog.START)))

with open(pathlib.Path(__file__).with_name("event_file_golden.tfevents"), "wb") as file:
    writer = RecordWriter(file)
    for event in events:
        writer.write(event.SerializeToString())
