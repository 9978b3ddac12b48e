/** What the Python client refuses before it has read it all: nobody has vouched for a head. */
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { ROOT } from '../support/program.js'

const CODE = `import sys, time
import cbor, sealing
from trust import Refused

def head(extras):
    return [bytes(8), bytes(8), 1, 0, 0, 1, 1, extras]

def outcome(step):
    try:
        step()
        return "taken"
    except (cbor.Malformed, Refused):
        return "refused"

def numbers(count):
    return [0] * (count - 1)

cases = [
    ({64: numbers(200), 65: numbers(56)}, {64: bytes(1021)}),
    ({64: numbers(257)}, {64: numbers(200), 65: numbers(57)}, {64: bytes(1022)}, {64: bytes(1000), 65: bytes(21)}),
]
for row in cases:
    print(*[outcome(lambda: sealing.Envelope(head(extras))) for extras in row])
    envelope = sealing.Envelope(head({}))
    print(*[outcome(lambda: envelope.read_messages([{1: "t", 2: b"", **keys}], 60)) for keys in row])
huge = cbor.encode(head({64: 0}))[:-1] + b"\\x9a" + (1000000).to_bytes(4, "big") + b"\\x40" * 1000000
since = time.process_time()
print(outcome(lambda: cbor.decode(huge, 0, budget=cbor.Budget(sealing.MAX_HEAD_ITEMS))), time.process_time() - since < 0.05)
`

test('the client in Python ignores 256 items and 1024 bytes, and refuses more without reading it', async () => {
  const env = { ...process.env, PYTHONPATH: join(ROOT, 'examples', 'python') }
  const { stdout } = await promisify(execFile)('/usr/bin/python3', ['-B', '-c', CODE], { env })
  const lines = stdout.trim().split('\n')
  const refused = 'refused refused refused refused'
  expect(lines).toEqual(['taken taken', 'taken taken', refused, refused, 'refused True'])
})
