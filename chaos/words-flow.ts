/** Words that do nothing to anybody: waiting, repeating, choosing. */
import { setTimeout as sleep } from 'node:timers/promises'
import { duration, fields, listOf, type Read, text, whole } from './fields.js'
import type { Play } from './play.js'
import type { Step } from './script.js'
import { type Word, type Words, word } from './word.js'
import type { Yaml } from './yaml.js'

interface Wait {
  readonly fromMs: number
  readonly toMs: number
}

/** One duration, or two between which the seed draws. */
const wait: Read<Wait> = (yaml: Yaml) => {
  if (yaml.is !== 'map') {
    const ms = duration(yaml)
    return { fromMs: ms, toMs: ms }
  }
  return fields('a duration, or a map with from and to', map => ({
    fromMs: map.need('from', duration),
    toMs: map.need('to', duration),
  }))(yaml)
}

/** Does the steps one after the other. */
export async function perform(steps: readonly Step[], play: Play): Promise<void> {
  for (const step of steps) {
    play.stage.signal.throwIfAborted()
    await step.run(play)
  }
}

/** @param steps - reads a list of steps: those inside of others */
export function flowWords(steps: Read<readonly Step[]>): Words {
  return {
    wait: word(
      { summary: 'waits; between `from` and `to` the seed draws', example: '5 s' },
      wait,
      async ({ stage }, { fromMs, toMs }) => await pause(stage.random.int(fromMs, toMs), stage.signal),
    ),
    note: word({ summary: 'a line for people', example: 'now the other one' }, text, ({ stage }, line) =>
      stage.note(line),
    ),
    repeat: repeat(steps),
    'one-of': word(
      {
        summary: 'one of several lists of steps, drawn by the seed',
        example: '[[kill: chosen], [drain: chosen]]',
      },
      listOf(steps),
      async (play, lists) => await perform(play.stage.random.pick(lists), play),
    ),
    'for-each-node': word(
      {
        summary: 'the steps for every node, which is then the chosen one; in an order drawn by the seed',
        example: '[terminate: chosen, start: chosen]',
      },
      steps,
      async (play, list) => {
        for (const node of play.stage.random.shuffle(play.stage.driver.nodes))
          await perform(list, play.choosing(node))
      },
    ),
  }
}

function repeat(steps: Read<readonly Step[]>): Word {
  return word(
    {
      summary: 'the steps so many times, one time beginning `every` so long',
      example: '{times: 5, every: 2 s, steps: [close-connections: closed by the operator]}',
    },
    fields('a map with times, every and steps', map => ({
      times: map.need('times', whole(1, 10_000)),
      everyMs: map.need('every', duration),
      steps: map.need('steps', steps),
    })),
    async (play, { times, everyMs, steps: list }) => {
      const begin = performance.now()
      for (let i = 0; i < times; i++) {
        await pause(begin + i * everyMs - performance.now(), play.stage.signal)
        await perform(list, play)
      }
    },
  )
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(Math.max(0, ms), undefined, { signal })
}
