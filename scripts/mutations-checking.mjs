/** Mutations of those who judge: a checker that sees nothing would find every mutation harmless. */

const invariants = 'chaos/invariants.ts'
const tests = ['test/unit/chaos-invariants.test.ts']

export const CHECKING = [
  {
    law: 'checker',
    broken: 'I3 is judged by the first message of a lane alone',
    file: invariants,
    text: 'highest.set(lane, Math.max(before, n))',
    replacement: 'if (before < 0) highest.set(lane, n)',
    tests,
  },
  {
    law: 'checker',
    broken: 'a lane that never came back counts as met',
    file: 'chaos/measures.ts',
    text: '.filter(gap => gap.dead || ',
    replacement: '.filter(gap => ',
    tests,
  },
  {
    law: 'checker',
    broken: 'a gap is counted from the last confirm before the injection',
    file: 'chaos/gap.ts',
    text: 'let begin = window.from',
    replacement: 'let begin = times[0] ?? window.from',
    tests,
  },
]
